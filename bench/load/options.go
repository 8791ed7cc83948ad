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
	asked       texts
	race        bool
	text        string
	concurrency int
	warmUp      int
	calls       int
	pid         int
	upstream    string
	headers     texts
}

// texts are the values of an option that may be repeated.
type texts []string

func (t *texts) String() string { return strings.Join(*t, " ") }

func (t *texts) Set(text string) error {
	*t = append(*t, text)
	return nil
}

func parseOptions(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.address, "address", "", "where the server listens")
	flags.BoolVar(&o.http, "http", false, "speak OpenAI's format over HTTP instead of gRPC")
	flags.StringVar(&o.model, "model", modelUnary, "which answer of the mock upstream is asked for")
	flags.IntVar(&o.names, "names", 0, "how many configured names are asked in turn; 0 asks the target itself")
	flags.Var(&o.asked, "spec", "a spec that is asked instead, in turn with the others; may be repeated")
	flags.BoolVar(&o.race, "race", false, "let the specs race in each call, instead of asking them in turn")
	flags.StringVar(&o.text, "text", "", "what answers say that are not the mock upstream's")
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
	if len(o.asked) > 0 {
		return o.asked
	}
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
	if o.race {
		return dialGRPC(o.address, raceService, [][]byte{raceRequest(o.specs())}, o.concurrency)
	}
	var requests [][]byte
	for _, spec := range o.specs() {
		requests = append(requests, chainRequest(spec, o.model == modelStalled))
	}
	return dialGRPC(o.address, chainService, requests, o.concurrency)
}
