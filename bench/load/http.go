package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// httpDialer speaks OpenAI's format, to the peers and to the mock upstream itself.
type httpDialer struct {
	address string
	model   string
	headers texts
}

func (d *httpDialer) close() {}

func (d *httpDialer) caller(int) (caller, error) {
	connection, err := net.Dial("tcp", d.address)
	if err != nil {
		return nil, err
	}
	return &httpCaller{dialer: d, connection: connection, reader: bufio.NewReaderSize(connection, 64<<10)}, nil
}

// httpCaller has one connection, which is kept; a gateway that closes it is an error, as it would be under load.
type httpCaller struct {
	dialer     *httpDialer
	connection net.Conn
	reader     *bufio.Reader
}

// message is the part of an answer or a chunk that is checked.
type message struct {
	Choices []struct {
		Message struct{ Content string }
		Delta   struct{ Content string }
	}
	Usage *struct {
		CompletionTokens int `json:"completion_tokens"`
	}
}

func (c *httpCaller) unary(ctx context.Context) ([]byte, error) {
	response, err := c.post(ctx, false)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer message
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Choices) == 0 || answer.Usage == nil || answer.Usage.CompletionTokens == 0 {
		return nil, fmt.Errorf("an answer without choices or usage: %s", body)
	}
	return []byte(answer.Choices[0].Message.Content), nil
}

func (c *httpCaller) stream(ctx context.Context, onDelta func(text []byte) error) error {
	response, err := c.post(ctx, true)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	done := false
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && done {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the stream broke: %w", err)
		}
		data, found := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !found {
			continue
		}
		if done = bytes.Equal(data, []byte("[DONE]")); done {
			continue
		}
		if err := readEvent(data, onDelta); err != nil {
			return err
		}
	}
}

func readEvent(data []byte, onDelta func(text []byte) error) error {
	var chunk message
	if err := json.Unmarshal(data, &chunk); err != nil {
		return err
	}
	if len(chunk.Choices) == 0 || chunk.Choices[0].Delta.Content == "" {
		return nil
	}
	return onDelta([]byte(chunk.Choices[0].Delta.Content))
}

func (c *httpCaller) post(ctx context.Context, stream bool) (*http.Response, error) {
	body := fmt.Sprintf(`{"model":%s,"stream":%t,"messages":[{"role":"user","content":%s}]}`,
		quoted(c.dialer.model), stream, quoted(prompt))
	if deadline, bounded := ctx.Deadline(); bounded {
		if err := c.connection.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	head := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\n"+
		"content-type: application/json\r\ncontent-length: %d\r\n", c.dialer.address, len(body))
	for _, line := range c.dialer.headers {
		head += line + "\r\n"
	}
	if _, err := io.WriteString(c.connection, head+"\r\n"+body); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		explanation, _ := io.ReadAll(io.LimitReader(response.Body, 2000))
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, explanation)
	}
	return response, nil
}
