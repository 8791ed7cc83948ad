package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// processClock is CPUCLOCK_SCHED of the kernel: what all threads of a process ran for, user and system together.
const processClock = 2

// monotonic reads the clock that all processes of a machine share, in nanoseconds.
func monotonic() int64 {
	nanoseconds, err := readClock(unix.CLOCK_MONOTONIC)
	if err != nil {
		panic(err) // every kernel has this clock
	}
	return nanoseconds
}

// processTime is the CPU time that a process has used, in nanoseconds: the clock that clock_getcpuclockid names.
func processTime(pid int) (int64, error) {
	nanoseconds, err := readClock(int32(^pid<<3 | processClock))
	if err != nil {
		return 0, fmt.Errorf("the CPU clock of process %d: %w", pid, err)
	}
	return nanoseconds, nil
}

func readClock(id int32) (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(id, &now); err != nil {
		return 0, err
	}
	return now.Nano(), nil
}
