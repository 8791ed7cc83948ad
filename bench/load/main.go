// Command load is both ends of the bench: the mock upstream that gateways call, and the load that calls gateways.
//
// It decides nothing: what is measured, how often, and what the figures must reach is said by the Python modules of
// the bench, which start it with a subcommand and read the JSON lines that it prints.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// The heap is a few megabytes; collecting it less often keeps pauses out of the latencies.
const garbageCollectionPercent = 800

func main() {
	debug.SetGCPercent(garbageCollectionPercent)
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: load upstream | load run [options] | load hold [options]"))
	}
	var err error
	switch command, arguments := os.Args[1], os.Args[2:]; command {
	case "upstream":
		err = serveUpstream()
	case "run":
		err = run(arguments)
	case "hold":
		err = hold(arguments)
	default:
		err = fmt.Errorf("there is no subcommand %q", command)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}
