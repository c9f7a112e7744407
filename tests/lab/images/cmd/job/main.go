// Command job prints, sleeps, and exits with a code that it is told.
//
// By environment: JOB_LINES how many lines to print (default 1), JOB_SLEEP seconds
// to sleep before the last of them, JOB_EXIT the exit code, JOB_SIZE the bytes of
// each line. Arguments are printed one a line, first.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	for _, argument := range os.Args[1:] {
		fmt.Println(argument)
	}
	lines := int(number("JOB_LINES", 1))
	padding := strings.Repeat(".", int(number("JOB_SIZE", 0)))
	for n := 1; n <= lines; n++ {
		if n == lines {
			wait(time.Duration(number("JOB_SLEEP", 0) * float64(time.Second)))
		}
		fmt.Printf("job: line %d of %d%s\n", n, lines, padding)
	}
	code := int(number("JOB_EXIT", 0))
	fmt.Println("job: done, exit code", code)
	os.Exit(code)
}

// wait sleeps; a stop signal ends the job as a shell would tell it.
func wait(d time.Duration) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	select {
	case <-time.After(d):
	case <-asked:
		fmt.Fprintln(os.Stderr, "job: asked to stop")
		os.Exit(143)
	}
}

func number(name string, otherwise float64) float64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		fmt.Fprintf(os.Stderr, "job: %s=%q is not a number\n", name, text)
		os.Exit(2)
	}
	return value
}
