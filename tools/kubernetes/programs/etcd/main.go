// The etcd that kubeadm's manifests expect: Debian's is older than their flags.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
