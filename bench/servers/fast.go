// A server for the benches that does next to nothing: it reads HTTP/1.1 requests off kept-alive connections and answers each with the
// same 200. No HTTP library, so that it takes a small part of one core and is never what is measured.
//
//	fast ADDRESS:PORT [CERTIFICATE KEY]     prints "ready" when it listens, ends when its standard input ends; over TLS if it has a certificate
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"ok\":true,\"index\":1}")
var length = []byte("content-length:")

func serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 4096)
	for {
		body := 0
		for {
			line, err := reader.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
			if len(line) > len(length) && bytes.EqualFold(line[:len(length)], length) {
				body, _ = strconv.Atoi(string(bytes.TrimSpace(line[len(length):])))
			}
		}
		if _, err := reader.Discard(body); err != nil {
			return
		}
		if _, err := connection.Write(answer); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp4", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) > 3 {
		pair, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}})
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection)
		}
	}()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}
