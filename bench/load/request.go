package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

const maxBodyBytes = 1 << 20

// request is what the upstream reads of one: all else of it is skipped.
type request struct {
	path  string
	model string
}

// readRequest reads head and body. A body is measured by content-length or comes in chunks, as gateways send both.
func readRequest(reader *bufio.Reader) (request, error) {
	line, err := readLine(reader)
	if err != nil {
		return request{}, err
	}
	fields := strings.Fields(string(line))
	if len(fields) != 3 {
		return request{}, errors.New("this is no HTTP")
	}
	length, err := readHeaders(reader)
	if err != nil {
		return request{}, err
	}
	var body []byte
	if length < 0 {
		body, err = readChunks(reader)
	} else {
		body = make([]byte, length)
		_, err = io.ReadFull(reader, body)
	}
	return request{path: fields[1], model: modelOf(body)}, err
}

// readHeaders gives the length of the body, -1 if it comes in chunks.
func readHeaders(reader *bufio.Reader) (int, error) {
	length := 0
	for {
		line, err := readLine(reader)
		if err != nil || len(line) == 0 {
			return length, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || length < 0 || length > maxBodyBytes {
				return 0, errors.New("no usable content-length")
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = -1
		}
	}
}

func readChunks(reader *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := readLine(reader)
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(string(line), 16, 20)
		if err != nil {
			return nil, err
		}
		chunk := make([]byte, size+uint64(len("\r\n")))
		if _, err := io.ReadFull(reader, chunk); err != nil {
			return nil, err
		}
		if size == 0 {
			return body, nil
		}
		body = append(body, chunk[:size]...)
	}
}

func readLine(reader *bufio.Reader) ([]byte, error) {
	line, err := reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// modelOf finds the model by its key: it is the only member of that name in what a gateway sends here.
func modelOf(body []byte) string {
	_, rest, found := bytes.Cut(body, []byte(`"model":`))
	if !found {
		return ""
	}
	_, rest, _ = bytes.Cut(rest, []byte(`"`))
	model, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(model)
}
