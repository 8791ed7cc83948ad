package main

import "slices"

// spread is a distribution in milliseconds; all zero for none.
type spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func spreadOf(nanoseconds []int64) spread {
	if len(nanoseconds) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(nanoseconds))
	at := func(share float64) float64 {
		return float64(sorted[int(share*float64(len(sorted)-1))]) / 1e6
	}
	return spread{P50: at(0.5), P99: at(0.99), Max: at(1)}
}
