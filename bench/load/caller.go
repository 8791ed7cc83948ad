package main

import "context"

// caller makes the calls of one worker; each worker has its own.
type caller interface {
	// unary gives the text of a whole answer.
	unary(ctx context.Context) ([]byte, error)
	// stream hands each delta's text over as it arrives, and has checked that the stream ended as it should.
	stream(ctx context.Context, onDelta func(text []byte) error) error
}

// dialer makes the callers of the workers, which share connections where the protocol lets them.
type dialer interface {
	caller(worker int) (caller, error)
	close()
}
