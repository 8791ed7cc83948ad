package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	seed          = 7
	shortestPause = 5 * time.Millisecond
	longestPause  = 10 * time.Millisecond
	// What a stamped stream waits before its event, so that head and event are two reads.
	stampDelay = 3 * time.Millisecond
)

// streamCount numbers the streams: each has its own pauses, and all runs have the same.
var streamCount atomic.Uint64

// serveUpstream answers as an OpenAI-compatible provider does, until it is killed.
func serveUpstream() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("upstream listening on %s\n", listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go serveConnection(connection)
	}
}

// serveConnection takes whole requests, one after the other; any error is the end of the connection.
func serveConnection(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 16<<10)
	for {
		request, err := readRequest(reader)
		if err != nil {
			return
		}
		if err := answer(connection, request); err != nil {
			return
		}
	}
}

func answer(connection net.Conn, request request) error {
	if strings.HasPrefix(request.path, acknowledgePath) {
		return answerAcknowledgement(connection, request.path)
	}
	if request.path == closingPath {
		return answerClosing(connection)
	}
	switch request.model {
	case modelUnary:
		return write(connection, unaryAnswer)
	case modelBurst:
		return write(connection, burstAnswer)
	case modelPaced:
		return answerPaced(connection, func(index int) []byte { return tokenChunks[index] })
	case modelTimed:
		return answerPaced(connection, stampedChunk)
	case modelLockstep:
		return answerInLockstep(connection)
	case modelStamped:
		return answerStamped(connection, openStream, nil)
	case modelLate:
		return answerStamped(connection, nil, openStream)
	case modelEarly:
		return answerEarly(connection)
	case modelWhole:
		return answerWhole(connection)
	case modelTardy:
		return awaitClosing(connection)
	case modelStalled:
		return write(connection, joined(openStream, tokenChunks[0]))
	}
	return write(connection, []byte("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
}

func answerPaced(connection net.Conn, chunk func(index int) []byte) error {
	random := rand.New(rand.NewPCG(seed, streamCount.Add(1)))
	if err := write(connection, openStream); err != nil {
		return err
	}
	for index := range eventsPerStream {
		time.Sleep(shortestPause + time.Duration(random.Int64N(int64(longestPause-shortestPause))))
		if err := write(connection, chunk(index)); err != nil {
			return err
		}
	}
	return write(connection, closeStream)
}

func stampedChunk(int) []byte {
	return inChunk(tokenEvent(" " + strconv.FormatInt(monotonic(), 10)))
}

// answerStamped tells when the request was read and when the event was written: what is between the two is the
// upstream's share, and the reader takes it off.
func answerStamped(connection net.Conn, first, second []byte) error {
	receivedAt := monotonic()
	if err := write(connection, first); err != nil {
		return err
	}
	time.Sleep(stampDelay)
	event := inChunk(tokenEvent(fmt.Sprintf("%d %d", receivedAt, monotonic())))
	return write(connection, joined(second, event, closeStream))
}

func write(connection net.Conn, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := connection.Write(data)
	return err
}
