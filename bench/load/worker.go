package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// worker makes one call after the other, checks every answer, so that a fast wrong one cannot win, and notes when
// things happened. Times are in nanoseconds.
type worker struct {
	options      options
	caller       caller
	acknowledger *acknowledger
	closings     *closings
	latencies    []int64
	firsts       []int64
	deltas       int
	text         []byte
	streams      [][]mark
	races        []raced
}

func newWorker(options options, dialer dialer, index int) (*worker, error) {
	caller, err := dialer.caller(index)
	if err != nil {
		return nil, err
	}
	worker := &worker{options: options, caller: caller}
	switch options.model {
	case modelLockstep:
		worker.acknowledger, err = dialAcknowledger(options.upstream)
	case modelEarly, modelWhole:
		worker.closings, err = dialClosings(options.upstream)
	}
	return worker, err
}

// forget drops what the warm-up noted.
func (w *worker) forget() {
	w.latencies, w.firsts, w.deltas, w.streams, w.races = nil, nil, 0, nil, nil
}

func (w *worker) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	start := monotonic()
	var err error
	switch w.options.model {
	case modelUnary:
		err = w.unary(ctx)
	case modelStamped, modelLate:
		err = w.stamped(ctx, start)
	case modelTimed:
		err = w.timed(ctx)
	case modelLockstep:
		err = w.lockstep(ctx)
	case modelEarly, modelWhole:
		err = w.raced(ctx)
	default:
		err = w.stream(ctx, start)
	}
	w.latencies = append(w.latencies, monotonic()-start)
	return err
}

func (w *worker) unary(ctx context.Context) error {
	text, err := w.caller.unary(ctx)
	if err == nil && string(text) != w.expected(unaryText) {
		err = fmt.Errorf("a wrong answer of %d bytes", len(text))
	}
	return err
}

// expected is what an answer says; the upstream's own is `upstreams`.
func (w *worker) expected(upstreams string) string {
	if w.options.text != "" {
		return w.options.text
	}
	return upstreams
}

func (w *worker) stream(ctx context.Context, start int64) error {
	w.text = w.text[:0]
	err := w.caller.stream(ctx, func(text []byte) error {
		if len(w.text) == 0 {
			w.firsts = append(w.firsts, monotonic()-start)
		}
		w.deltas++
		w.text = append(w.text, text...)
		return nil
	})
	if err == nil && string(w.text) != w.expected(streamText) {
		err = fmt.Errorf("a wrong stream of %d bytes", len(w.text))
	}
	return err
}

// stamped takes the upstream's share off, which the event tells.
func (w *worker) stamped(ctx context.Context, start int64) error {
	before := len(w.firsts)
	err := w.caller.stream(ctx, func(text []byte) error {
		received := monotonic()
		times, err := numbers(string(text))
		if err != nil || len(times) != 2 {
			return fmt.Errorf("not two stamps: %q", text)
		}
		w.firsts = append(w.firsts, received-start-(times[1]-times[0]))
		return nil
	})
	if err == nil && len(w.firsts) != before+1 {
		err = fmt.Errorf("%d deltas instead of one", len(w.firsts)-before)
	}
	return err
}

func (w *worker) timed(ctx context.Context) error {
	var marks []mark
	err := w.caller.stream(ctx, func(text []byte) error {
		received := monotonic()
		w.deltas++
		times, err := numbers(string(text))
		for _, written := range times {
			marks = append(marks, mark{written, received})
		}
		return err
	})
	if err == nil && len(marks) != eventsPerStream {
		err = fmt.Errorf("%d events of %d", len(marks), eventsPerStream)
	}
	w.streams = append(w.streams, marks)
	return err
}

func (w *worker) lockstep(ctx context.Context) error {
	count := 0
	err := w.caller.stream(ctx, func(text []byte) error {
		count++
		return w.acknowledger.acknowledge(strings.TrimSpace(string(text)))
	})
	w.deltas += count
	if err == nil && count != eventsPerStream {
		err = fmt.Errorf("%d deltas in lockstep instead of %d", count, eventsPerStream)
	}
	return err
}

func numbers(text string) ([]int64, error) {
	var found []int64
	for _, field := range strings.Fields(text) {
		number, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, err
		}
		found = append(found, number)
	}
	return found, nil
}
