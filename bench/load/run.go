package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// callTimeout is for one call: none takes long, and one that hangs must end the bench.
const callTimeout = 60 * time.Second

// outcome is what one run found, and the line that it prints.
type outcome struct {
	Calls        int       `json:"calls"`
	Deltas       int       `json:"deltas"`
	Seconds      float64   `json:"seconds"`
	CPUMicros    float64   `json:"cpu_us"`
	Latency      spread    `json:"latency_ms"`
	FirstContent spread    `json:"first_content_ms"`
	Timeline     *timeline `json:"timeline,omitempty"`
	Decided      *decided  `json:"decided,omitempty"`
}

// run makes the calls and prints the outcome; any failed or wrong call fails it all.
func run(arguments []string) error {
	options, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	dialer, err := options.dial()
	if err != nil {
		return err
	}
	defer dialer.close()
	workers, err := hire(options, dialer)
	if err != nil {
		return err
	}
	if err := work(workers, options.warmUp); err != nil {
		return err
	}
	for _, worker := range workers {
		worker.forget()
	}
	found, err := measure(options, workers)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func hire(options options, dialer dialer) ([]*worker, error) {
	var workers []*worker
	for index := range options.concurrency {
		worker, err := newWorker(options, dialer, index)
		if err != nil {
			return nil, err
		}
		workers = append(workers, worker)
	}
	return workers, nil
}

func measure(options options, workers []*worker) (outcome, error) {
	before, err := cpuTime(options.pid)
	if err != nil {
		return outcome{}, err
	}
	start := monotonic()
	if err := work(workers, options.calls); err != nil {
		return outcome{}, err
	}
	seconds := float64(monotonic()-start) / 1e9
	after, err := cpuTime(options.pid)
	if err != nil {
		return outcome{}, err
	}
	found := gathered(workers)
	found.Seconds = seconds
	found.CPUMicros = float64(after-before) / 1e3 / float64(options.calls)
	return found, nil
}

func cpuTime(pid int) (int64, error) {
	if pid == 0 {
		return 0, nil
	}
	return processTime(pid)
}

// work makes count calls, all workers at a time; the first failure cancels the others.
func work(workers []*worker, count int) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var turn atomic.Int64
	var group sync.WaitGroup
	for _, worker := range workers {
		group.Go(func() {
			for ctx.Err() == nil && turn.Add(1) <= int64(count) {
				if err := worker.call(ctx); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func gathered(workers []*worker) outcome {
	var found outcome
	var latencies, firsts []int64
	var streams [][]mark
	var races []raced
	for _, worker := range workers {
		found.Calls += len(worker.latencies)
		found.Deltas += worker.deltas
		latencies = append(latencies, worker.latencies...)
		firsts = append(firsts, worker.firsts...)
		streams = append(streams, worker.streams...)
		races = append(races, worker.races...)
	}
	found.Latency, found.FirstContent = spreadOf(latencies), spreadOf(firsts)
	if len(streams) > 0 {
		found.Timeline = timelineOf(streams)
	}
	if len(races) > 0 {
		found.Decided = decidedOf(races)
	}
	return found
}
