// Porcupine (github.com/anishathalye/porcupine) as a test oracle: is each history that is read linearizable?
//
//	stdin    one history a line: {"id": "7", "workload": "register", "operations": [{...}, ...]}
//	stdout   one verdict a line: {"id": "7", "ok": true, "seconds": 0.001}
//
// Operations are partitioned by key. One without a return ("return": null) may take effect at any later time: it returns after all others.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Session int      `json:"session"`
	Does    string   `json:"does"`
	Key     string   `json:"key"`
	Value   string   `json:"value"`
	Found   []string `json:"found"`
	Call    int64    `json:"call"`
	Return  *int64   `json:"return"`
}

type history struct {
	ID         string      `json:"id"`
	Workload   string      `json:"workload"`
	Operations []operation `json:"operations"`
}

type verdict struct {
	ID      string  `json:"id"`
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
}

func text(found []string) string { return strings.Join(found, ",") }

func members(state string) []string {
	if state == "" {
		return nil
	}
	return strings.Split(state, ",")
}

// after gives the state after a write.
func after(workload, state, value string) string {
	switch workload {
	case "register":
		return value
	case "counter":
		return fmt.Sprint(number(state) + 1)
	case "set":
		all := append(members(state), value)
		sort.Strings(all)
		return text(all)
	default:
		return text(append(members(state), value))
	}
}

func number(state string) int {
	count := 0
	fmt.Sscan(state, &count)
	return count
}

func shown(workload string, found []string) string {
	switch workload {
	case "set":
		sorted := append([]string(nil), found...)
		sort.Strings(sorted)
		return text(sorted)
	case "counter":
		return fmt.Sprint(number(text(found)))
	default:
		return text(found)
	}
}

func model(workload string) porcupine.Model {
	start := ""
	if workload == "counter" {
		start = "0"
	}
	return porcupine.Model{
		Init: func() interface{} { return start },
		Step: func(state, input, _ interface{}) (bool, interface{}) {
			each := input.(operation)
			if each.Does == "read" {
				return shown(workload, each.Found) == state.(string), state
			}
			return true, after(workload, state.(string), each.Value)
		},
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			keys := map[string][]porcupine.Operation{}
			for _, each := range all {
				key := each.Input.(operation).Key
				keys[key] = append(keys[key], each)
			}
			parts := make([][]porcupine.Operation, 0, len(keys))
			for _, part := range keys {
				parts = append(parts, part)
			}
			return parts
		},
	}
}

func judge(read history) verdict {
	last := int64(0)
	for _, each := range read.Operations {
		if each.Call > last {
			last = each.Call
		}
		if each.Return != nil && *each.Return > last {
			last = *each.Return
		}
	}
	all := make([]porcupine.Operation, 0, len(read.Operations))
	for _, each := range read.Operations {
		end := last + 1
		if each.Return != nil {
			end = *each.Return
		}
		all = append(all, porcupine.Operation{ClientId: each.Session, Input: each, Call: each.Call, Output: nil, Return: end})
	}
	begun := time.Now()
	ok := porcupine.CheckOperations(model(read.Workload), all)
	return verdict{read.ID, ok, time.Since(begun).Seconds()}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<30)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var read history
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if err := out.Encode(judge(read)); err != nil {
			os.Exit(1)
		}
	}
}
