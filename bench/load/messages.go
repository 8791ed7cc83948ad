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
	deltaText      = []protowire.Number{4, 2, 1}       // StreamChainResponse.delta.text.text
	finishedEvent  = []protowire.Number{6}             // StreamChainResponse.finished, a ChainResponse
	answerText     = []protowire.Number{2, 1, 1, 1}    // ChainResponse.completion.parts.text.text
	answerUsage    = []protowire.Number{2, 6}          // ChainResponse.completion.usage
	outputTokens   = protowire.Number(4)               // Usage.output_token_count
	errNoMessage   = errors.New("this is no protobuf") //
	longGapSeconds = uint64(24 * 60 * 60)
)

// chainRequest is a ChainRequest for spec, whose stream may pause for as long as the contract allows.
func chainRequest(spec string, patient bool) []byte {
	text := stringField(1, prompt)
	part := messageField(1, text)
	message := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), roleUser)
	message = append(message, messageField(2, part)...)
	request := append(stringField(1, spec), messageField(2, messageField(1, message))...)
	if patient {
		seconds := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), longGapSeconds)
		request = append(request, messageField(4, messageField(6, seconds))...)
	}
	return request
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
