package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A race of one model that answers early and one that is tardy, one race at a time. The upstream writes into the early
// answer when it wrote it, and notes when the tardy one's connection was closed: one machine, one clock.

const (
	earlyDelay      = 20 * time.Millisecond
	tardyDelay      = 400 * time.Millisecond
	closingPath     = "/closing"
	closingPatience = 5 * time.Second
	mostClosings    = 1024
)

// closed has the moments at which connections of tardy answers were closed, until somebody asks for them.
var closed = make(chan int64, mostClosings)

func answerEarly(connection net.Conn) error {
	time.Sleep(earlyDelay)
	event := inChunk(tokenEvent(strconv.FormatInt(monotonic(), 10)))
	return write(connection, joined(openStream, event, closeStream))
}

func answerWhole(connection net.Conn) error {
	time.Sleep(earlyDelay)
	body := completion(strconv.FormatInt(monotonic(), 10))
	return write(connection, []byte(fmt.Sprintf(jsonHead, len(body))+body))
}

// awaitClosing waits for the end of the connection; one that is not closed in time counts as closed only then.
func awaitClosing(connection net.Conn) error {
	if err := connection.SetReadDeadline(time.Now().Add(tardyDelay)); err != nil {
		return err
	}
	count, err := connection.Read(make([]byte, 1))
	closed <- monotonic()
	if count > 0 {
		return errors.New("a second request before the first was answered")
	}
	return err
}

func answerClosing(connection net.Conn) error {
	select {
	case moment := <-closed:
		text := strconv.FormatInt(moment, 10)
		return write(connection, []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(text), text)))
	case <-time.After(closingPatience):
		return errors.New("no connection was closed")
	}
}

// raced is one race, in nanoseconds since the upstream wrote the winner's answer.
type raced struct{ first, returned, closed int64 }

// decided says how long races took once their winner had answered.
type decided struct {
	First    spread `json:"first_ms"`
	Returned spread `json:"returned_ms"`
	Closed   spread `json:"closed_ms"`
}

func decidedOf(races []raced) *decided {
	var firsts, returned, closed []int64
	for _, race := range races {
		firsts = append(firsts, race.first)
		returned = append(returned, race.returned)
		closed = append(closed, race.closed)
	}
	return &decided{spreadOf(firsts), spreadOf(returned), spreadOf(closed)}
}

func (w *worker) raced(ctx context.Context) error {
	text, first, err := w.winner(ctx)
	if err != nil {
		return err
	}
	returned := monotonic()
	if first == 0 {
		first = returned
	}
	written, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	closed, err := w.closings.next()
	w.races = append(w.races, raced{first - written, returned - written, closed - written})
	return err
}

// winner gives the answer of a race, and when its first content came if it is streamed.
func (w *worker) winner(ctx context.Context) (string, int64, error) {
	if w.options.model == modelWhole {
		text, err := w.caller.unary(ctx)
		return string(text), 0, err
	}
	var answer strings.Builder
	first := int64(0)
	err := w.caller.stream(ctx, func(text []byte) error {
		if first == 0 {
			first = monotonic()
		}
		answer.Write(text)
		return nil
	})
	return answer.String(), first, err
}

// closings asks the upstream when connections were closed.
type closings struct {
	connection net.Conn
	reader     *bufio.Reader
}

func dialClosings(upstream string) (*closings, error) {
	connection, err := net.Dial("tcp", upstream)
	if err != nil {
		return nil, err
	}
	return &closings{connection, bufio.NewReader(connection)}, nil
}

func (c *closings) next() (int64, error) {
	if _, err := fmt.Fprintf(c.connection, "GET %s HTTP/1.1\r\nhost: upstream\r\n\r\n", closingPath); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, fmt.Errorf("the loser's connection was not closed: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(body), 10, 64)
}
