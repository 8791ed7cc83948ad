package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The models of the mock upstream. The name alone decides how a request is answered.
const (
	modelUnary    = "unary"    // one JSON answer of unaryBytes
	modelBurst    = "burst"    // a stream whose events are all in one write
	modelPaced    = "paced"    // a stream of events 5 to 10 ms apart
	modelTimed    = "timed"    // as paced; each event tells when it was written
	modelLockstep = "lockstep" // an event is written when the one before it has been acknowledged
	modelStamped  = "stamped"  // the head at once, and later one event that tells how long the upstream took
	modelLate     = "late"     // as stamped, but head and event are one write
	modelStalled  = "stalled"  // one event, and then nothing
	modelEarly    = "early"    // a stream after earlyDelay, whose event tells when it was written
	modelWhole    = "whole"    // as early, but one JSON answer
	modelTardy    = "tardy"    // nothing for tardyDelay; tells who asks for it when the connection was closed
)

const (
	unaryBytes      = 712
	eventsPerStream = 200
	// A token of a stream. No two are the same: some gateways end a stream that repeats itself.
	tokenForm = " to%03d"
)

const (
	jsonHead   = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
	streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
	common     = `"id":"chatcmpl-Bz8Qm3xT0kJv5wLr2nYc7HdPaE1fU","created":1780000000,` +
		`"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_44added55e",`
	eventStart = `data: {"object":"chat.completion.chunk",` + common + `"choices":[`
	eventEnd   = `],"usage":%s}` + "\n\n"
	noUsage    = "null"
)

// unaryText fills the answer up to its size.
var unaryText = textOf(unaryBytes - len(completion("")))

// The bytes of the answers, made once.
var (
	unaryAnswer = []byte(fmt.Sprintf(jsonHead, unaryBytes) + completion(unaryText))
	openStream  = append([]byte(streamHead), inChunk(roleEvent())...)
	tokenChunks = eachToken(inChunk)
	closeStream = append(inChunk(lastEvents()), "0\r\n\r\n"...)
	burstAnswer = joined(openStream, inChunk(strings.Join(eachToken(asIs), "")), closeStream)
)

// streamText is what all tokens of a stream say.
var streamText = func() string {
	var text strings.Builder
	for index := range eventsPerStream {
		fmt.Fprintf(&text, tokenForm, index)
	}
	return text.String()
}()

func eachToken[Form any](form func(event string) Form) []Form {
	var all []Form
	for index := range eventsPerStream {
		all = append(all, form(tokenEvent(fmt.Sprintf(tokenForm, index))))
	}
	return all
}

func asIs(event string) string { return event }

func textOf(length int) string {
	return strings.Repeat("word ", length/len("word ")) + strings.Repeat(".", length%len("word "))
}

func completion(text string) string {
	return `{"object":"chat.completion",` + common + `"choices":[{"index":0,"message":{"role":"assistant","content":` +
		quoted(text) + `,"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":24,` +
		`"completion_tokens":42,"total_tokens":66,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0}}}`
}

func tokenEvent(text string) string {
	return event(`{"index":0,"delta":{"content":`+quoted(text)+`},"logprobs":null,"finish_reason":null}`, noUsage)
}

func roleEvent() string {
	delta := `{"role":"assistant","content":""}`
	return event(`{"index":0,"delta":`+delta+`,"logprobs":null,"finish_reason":null}`, noUsage)
}

func lastEvents() string {
	usage := fmt.Sprintf(
		`{"prompt_tokens":24,"completion_tokens":%d,"total_tokens":%d}`, eventsPerStream, 24+eventsPerStream)
	return event(`{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`, noUsage) +
		event("", usage) + "data: [DONE]\n\n"
}

func event(choice, usage string) string {
	return eventStart + choice + fmt.Sprintf(eventEnd, usage)
}

// inChunk is data as one chunk of a chunked body.
func inChunk(data string) []byte {
	return []byte(fmt.Sprintf("%x\r\n%s\r\n", len(data), data))
}

func joined(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(encoded)
}
