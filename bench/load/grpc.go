package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// Servers bound the streams of a connection, and a client that had one only would wait for its turn.
const streamsPerConnection = 100

var streamDescription = &grpc.StreamDesc{ServerStreams: true}

// rawCodec sends and gives bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(value any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(value.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, value any) error {
	target := value.(*[]byte)
	if cap(*target) < data.Len() {
		*target = make([]byte, data.Len())
	}
	*target = (*target)[:data.Len()]
	data.CopyTo(*target)
	return nil
}

// grpcDialer speaks Paceline's contract.
type grpcDialer struct {
	service     service
	connections []*grpc.ClientConn
	requests    [][]byte
	turn        atomic.Uint64
}

// dialGRPC connects to a gateway, of which the requests are made in turn.
func dialGRPC(address string, service service, requests [][]byte, workers int) (*grpcDialer, error) {
	dialer := &grpcDialer{service: service, requests: requests}
	for range (workers + streamsPerConnection - 1) / streamsPerConnection {
		connection, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.WaitForReady(true)))
		if err != nil {
			return nil, err
		}
		dialer.connections = append(dialer.connections, connection)
	}
	return dialer, nil
}

func (d *grpcDialer) caller(worker int) (caller, error) {
	return &grpcCaller{dialer: d, connection: d.connections[worker%len(d.connections)]}, nil
}

func (d *grpcDialer) close() {
	for _, connection := range d.connections {
		connection.Close()
	}
}

type grpcCaller struct {
	dialer     *grpcDialer
	connection *grpc.ClientConn
	received   []byte
}

func (c *grpcCaller) request() []byte {
	turn := c.dialer.turn.Add(1) - 1
	return c.dialer.requests[turn%uint64(len(c.dialer.requests))]
}

func (c *grpcCaller) unary(ctx context.Context) ([]byte, error) {
	if err := c.connection.Invoke(ctx, c.dialer.service.unaryMethod, c.request(), &c.received); err != nil {
		return nil, err
	}
	return checkedAnswer(c.received)
}

func (c *grpcCaller) stream(ctx context.Context, onDelta func(text []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.connection.NewStream(ctx, streamDescription, c.dialer.service.streamMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(c.request()); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	length, finished := 0, -1
	for {
		if err := stream.RecvMsg(&c.received); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		text, err := fieldAt(c.received, c.dialer.service.deltaText)
		if err != nil {
			return err
		}
		if text != nil {
			length += len(text)
			if err := onDelta(text); err != nil {
				return err
			}
		} else if finished, err = c.finishedLength(finished); err != nil {
			return err
		}
	}
	if finished != length {
		return fmt.Errorf("the deltas have %d bytes and the finished answer %d", length, finished)
	}
	return nil
}

// finishedLength is the length of the answer if a `finished` event was received, or else `before`.
func (c *grpcCaller) finishedLength(before int) (int, error) {
	answer, err := fieldAt(c.received, c.dialer.service.finishedEvent)
	if err != nil || answer == nil {
		return before, err
	}
	text, err := checkedAnswer(answer)
	return len(text), err
}

// checkedAnswer is the text of a ChainResponse, or of a RaceResponse, that has counted its tokens.
func checkedAnswer(response []byte) ([]byte, error) {
	usage, err := fieldAt(response, answerUsage)
	if err != nil {
		return nil, err
	}
	if !hasCount(usage, outputTokens) {
		return nil, errors.New("an answer without usage")
	}
	return fieldAt(response, answerText)
}
