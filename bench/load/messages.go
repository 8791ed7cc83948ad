package main

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The few fields of the contract that the load needs, by their numbers in protos/paceline/v1. Requests are encoded
// once, and answers are scanned instead of decoded, so that the load stays small beside what it measures.

const prompt = "Say in one sentence what a gateway in front of language models is good for, and for whom."

const roleUser = 2

// Paths of fields, from the outside in.
var (
	answerText     = []protowire.Number{2, 1, 1, 1}    // ChainResponse.completion.parts.text.text, RaceResponse. ...
	answerUsage    = []protowire.Number{2, 6}          // ChainResponse.completion.usage, RaceResponse. ...
	outputTokens   = protowire.Number(4)               // Usage.output_token_count
	errNoMessage   = errors.New("this is no protobuf") //
	longGapSeconds = uint64(24 * 60 * 60)
)

// service is one of the contract's, as far as the load needs it.
type service struct {
	unaryMethod   string
	streamMethod  string
	deltaText     []protowire.Number // of an event of a stream: delta.text.text
	finishedEvent []protowire.Number // likewise: finished, which is what a unary call answers
}

var (
	chainService = service{
		"/paceline.v1.ChainService/Chain",
		"/paceline.v1.ChainService/StreamChain",
		[]protowire.Number{4, 2, 1},
		[]protowire.Number{6},
	}
	raceService = service{
		"/paceline.v1.RaceService/Race",
		"/paceline.v1.RaceService/StreamRace",
		[]protowire.Number{6, 2, 1},
		[]protowire.Number{11},
	}
)

// raceRequest is a RaceRequest whose candidates are the specs, without a strategy of its own.
func raceRequest(specs []string) []byte {
	var request []byte
	for _, spec := range specs {
		request = append(request, messageField(1, stringField(1, spec))...)
	}
	return append(request, messageField(3, promptMessage())...)
}

// chainRequest is a ChainRequest for spec, whose stream may pause for as long as the contract allows.
func chainRequest(spec string, patient bool) []byte {
	request := append(stringField(1, spec), messageField(2, promptMessage())...)
	if patient {
		seconds := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), longGapSeconds)
		request = append(request, messageField(4, messageField(6, seconds))...)
	}
	return request
}

// promptMessage is a Prompt of one message.
func promptMessage() []byte {
	text := stringField(1, prompt)
	part := messageField(1, text)
	message := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), roleUser)
	return messageField(1, append(message, messageField(2, part)...))
}

func stringField(number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func messageField(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// fieldAt is the content of the field at path, nil where the message has none; of a repeated field the first.
func fieldAt(message []byte, path []protowire.Number) ([]byte, error) {
	for _, wanted := range path {
		inner, err := firstField(message, wanted)
		if err != nil || inner == nil {
			return nil, err
		}
		message = inner
	}
	return message, nil
}

func firstField(message []byte, wanted protowire.Number) ([]byte, error) {
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return nil, errNoMessage
		}
		message = message[length:]
		length = protowire.ConsumeFieldValue(number, kind, message)
		if length < 0 {
			return nil, errNoMessage
		}
		if number == wanted && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return value, nil
		}
		message = message[length:]
	}
	return nil, nil
}

// hasCount says whether a message has a number that is not 0 in a field.
func hasCount(message []byte, wanted protowire.Number) bool {
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return false
		}
		message = message[length:]
		length = protowire.ConsumeFieldValue(number, kind, message)
		if length < 0 {
			return false
		}
		if number == wanted && kind == protowire.VarintType {
			return true // zero is not written
		}
		message = message[length:]
	}
	return false
}
