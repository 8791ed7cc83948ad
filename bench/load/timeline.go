package main

// mark is one event of a stream: when the upstream wrote it, and when the client had it.
type mark struct{ written, received int64 }

// timeline says how long the events of streams were under way.
type timeline struct {
	First  spread `json:"first_ms"`
	All    spread `json:"all_ms"`
	Events int    `json:"events"`
	// How many events came only after the upstream had written the next one.
	Overtaken int `json:"overtaken"`
	// Of the first stream: the times of each event, written and received, in milliseconds since the first was written.
	Shown [][2]float64 `json:"shown"`
}

func timelineOf(streams [][]mark) *timeline {
	found := &timeline{}
	var firsts, all []int64
	for _, marks := range streams {
		firsts = append(firsts, marks[0].received-marks[0].written)
		for index, mark := range marks {
			all = append(all, mark.received-mark.written)
			if index+1 < len(marks) && mark.received > marks[index+1].written {
				found.Overtaken++
			}
		}
	}
	start := streams[0][0].written
	for _, mark := range streams[0] {
		found.Shown = append(found.Shown, [2]float64{since(start, mark.written), since(start, mark.received)})
	}
	found.Events, found.First, found.All = len(all), spreadOf(firsts), spreadOf(all)
	return found
}

func since(start, then int64) float64 {
	return float64(then-start) / 1e6
}
