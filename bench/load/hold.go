package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// holdTimeout is how long held streams live at most; it is within the longest deadline that a gateway grants.
const holdTimeout = 290 * time.Second

// opensAtATime bounds the streams that are being opened: a gateway's queue of connections is not what is measured.
const opensAtATime = 64

// hold opens streams that stall after their first delta, says so in one line, and keeps them until its standard input
// ends. A stream that ends earlier is an error.
func hold(arguments []string) error {
	options, err := parseOptions(append([]string{"-model", modelStalled}, arguments...))
	if err != nil {
		return err
	}
	dialer, err := options.dial()
	if err != nil {
		return err
	}
	defer dialer.close()
	ctx, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	ended := make(chan error, options.concurrency)
	if err := openAll(ctx, options, dialer, ended); err != nil {
		return err
	}
	fmt.Println("holding", options.concurrency)
	released := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		released <- err
	}()
	select {
	case err := <-released:
		return err
	case err := <-ended:
		return fmt.Errorf("a held stream ended: %w", err)
	}
}

func openAll(ctx context.Context, options options, dialer dialer, ended chan<- error) error {
	slots := make(chan struct{}, opensAtATime)
	opened := make(chan error, options.concurrency)
	for index := range options.concurrency {
		caller, err := dialer.caller(index)
		if err != nil {
			return err
		}
		slots <- struct{}{}
		go func() {
			arrived := false
			err := caller.stream(ctx, func([]byte) error {
				if !arrived {
					arrived = true
					<-slots
					opened <- nil
				}
				return nil
			})
			if err == nil {
				err = errors.New("without having been asked to")
			}
			if !arrived {
				<-slots
				opened <- err
			}
			ended <- err
		}()
	}
	for range options.concurrency {
		if err := <-opened; err != nil {
			return err
		}
	}
	return nil
}
