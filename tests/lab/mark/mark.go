// Package mark names a lab's process on what it makes outside of itself, so that the
// next lab can tell a crashed lab's things from a living one's.
package mark

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// Own is a mark of this process, another one at each call.
func Own() string {
	return fmt.Sprintf("%d-%s-%s", os.Getpid(), startOf(os.Getpid()), rand.Text()[:6])
}

// Abandoned is whether the process that a mark names is gone. What is no mark is not abandoned.
func Abandoned(mark string) bool {
	var pid int
	if _, err := fmt.Sscanf(mark, "%d-", &pid); err != nil {
		return false
	}
	parts := strings.Split(mark, "-")
	return len(parts) == 3 && startOf(pid) != parts[1]
}

// startOf is when a process started, in ticks: a pid alone may have been used again.
func startOf(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name in parentheses may hold spaces; the start is the 20th field after it.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}
