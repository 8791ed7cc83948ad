package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// In lockstep the upstream writes an event only when the client has acknowledged the one before it, past the gateway.
// A gateway that holds a delta back until more comes never gets more: the stream fails, whatever the machine's pace.

const (
	acknowledgePath     = "/acknowledge/"
	acknowledgePatience = 5 * time.Second
)

var waiting sync.Map // of stream numbers, as text, to the channel on which its acknowledgements arrive

func answerInLockstep(connection net.Conn) error {
	name := strconv.FormatUint(streamCount.Add(1), 10)
	acknowledged := make(chan string, 1)
	waiting.Store(name, acknowledged)
	defer waiting.Delete(name)
	if err := write(connection, openStream); err != nil {
		return err
	}
	for index := range eventsPerStream {
		mark := name + "/" + strconv.Itoa(index)
		if err := write(connection, inChunk(tokenEvent(" "+mark))); err != nil {
			return err
		}
		select {
		case got := <-acknowledged:
			if got != mark {
				return fmt.Errorf("%s is acknowledged instead of %s", got, mark)
			}
		case <-time.After(acknowledgePatience):
			return errors.New("not acknowledged")
		}
	}
	return write(connection, closeStream)
}

func answerAcknowledgement(connection net.Conn, path string) error {
	mark := strings.TrimPrefix(path, acknowledgePath)
	name, _, _ := strings.Cut(mark, "/")
	acknowledged, found := waiting.Load(name)
	if !found {
		return fmt.Errorf("there is no stream %s", name)
	}
	acknowledged.(chan string) <- mark
	return write(connection, []byte("HTTP/1.1 204 No Content\r\n\r\n"))
}

// acknowledger tells the upstream which deltas have arrived.
type acknowledger struct {
	connection net.Conn
	reader     *bufio.Reader
}

func dialAcknowledger(upstream string) (*acknowledger, error) {
	connection, err := net.Dial("tcp", upstream)
	if err != nil {
		return nil, err
	}
	return &acknowledger{connection, bufio.NewReader(connection)}, nil
}

func (a *acknowledger) acknowledge(mark string) error {
	_, err := fmt.Fprintf(a.connection, "POST %s%s HTTP/1.1\r\nhost: upstream\r\n\r\n", acknowledgePath, mark)
	if err != nil {
		return err
	}
	response, err := http.ReadResponse(a.reader, nil)
	if err != nil {
		return fmt.Errorf("delta %s came too late: %w", mark, err)
	}
	return response.Body.Close()
}
