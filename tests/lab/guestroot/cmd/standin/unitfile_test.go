package main

import (
	"slices"
	"testing"
	"time"
)

func TestUnitFiles(t *testing.T) {
	file := parseUnit("[Unit]\nAfter=a\n# no\n[Service]\nExecStart=/bin/a \\\n  'b c' d\nEnvironment=A=1 \"B=2 3\"\n" +
		"TimeoutStopSec=1min 30s\nRestartSec=2\nExecStartPre=x\nExecStartPre=\n")
	if got := words(file.last("Service", "ExecStart")); !slices.Equal(got, []string{"/bin/a", "b c", "d"}) {
		t.Errorf("ExecStart: %q", got)
	}
	if got := words(file.last("Service", "Environment")); !slices.Equal(got, []string{"A=1", "B=2 3"}) {
		t.Errorf("Environment: %q", got)
	}
	if got := file.seconds("Service", "TimeoutStopSec", 0); got != 90*time.Second {
		t.Errorf("TimeoutStopSec: %s", got)
	}
	if got := file.seconds("Service", "RestartSec", 0); got != 2*time.Second {
		t.Errorf("RestartSec: %s", got)
	}
	if got := file.all("Service", "ExecStartPre"); len(got) != 0 {
		t.Errorf("an empty assignment left %q", got)
	}
}
