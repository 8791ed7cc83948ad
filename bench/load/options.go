package main

import (
	"errors"
	"flag"
	"strconv"
	"strings"
)

// options are what one run of the load does.
type options struct {
	address     string
	http        bool
	model       string
	names       int
	concurrency int
	warmUp      int
	calls       int
	pid         int
	upstream    string
	headers     headers
}

// headers are lines that are sent with each HTTP request, as they are.
type headers []string

func (h *headers) String() string { return strings.Join(*h, ", ") }

func (h *headers) Set(line string) error {
	*h = append(*h, line)
	return nil
}

func parseOptions(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.address, "address", "", "where the server listens")
	flags.BoolVar(&o.http, "http", false, "speak OpenAI's format over HTTP instead of gRPC")
	flags.StringVar(&o.model, "model", modelUnary, "which answer of the mock upstream is asked for")
	flags.IntVar(&o.names, "names", 0, "how many configured names are asked in turn; 0 asks the target itself")
	flags.IntVar(&o.concurrency, "concurrency", 1, "how many calls are open at a time")
	flags.IntVar(&o.warmUp, "warm-up", 0, "calls before those that count")
	flags.IntVar(&o.calls, "calls", 1, "calls that count")
	flags.IntVar(&o.pid, "pid", 0, "the process whose CPU time is read; 0 reads none")
	flags.StringVar(&o.upstream, "upstream", "", "where the mock upstream listens, which lockstep acknowledges to")
	flags.Var(&o.headers, "header", "a header of each HTTP request, as in \"name: value\"; may be repeated")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.address == "" || o.concurrency < 1 || o.calls < 1 || flags.NArg() > 0 {
		return o, errors.New("needed: -address, and at least one call at a time")
	}
	return o, nil
}

// specs are what a gateway is asked for, in turn.
func (o options) specs() []string {
	if o.names == 0 {
		return []string{"mock/" + o.model}
	}
	var specs []string
	for index := range o.names {
		specs = append(specs, "name-"+strconv.Itoa(index))
	}
	return specs
}

func (o options) dial() (dialer, error) {
	if o.http {
		return &httpDialer{address: o.address, model: o.model, headers: o.headers}, nil
	}
	return dialGRPC(o.address, o.specs(), o.concurrency, o.model == modelStalled)
}
