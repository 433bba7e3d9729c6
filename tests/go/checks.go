package main

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/atomix/atomix/api/errors"
)

// checks prints one line per check: `ok SCENARIO: sentence`, or `FAIL SCENARIO: sentence: got X, want Y`.
type checks struct {
	scenario string
	mutex    sync.Mutex
	ran      int
	failed   int
}

// broken ends a scenario of which a step failed that all others stand on.
type broken struct{}

func (c *checks) report(sentence string, good bool, got, want string) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.ran++
	if good {
		fmt.Printf("ok %s: %s\n", c.scenario, sentence)
		return true
	}
	c.failed++
	fmt.Printf("FAIL %s: %s: got %s, want %s\n", c.scenario, sentence, line(got), line(want))
	return false
}

// line keeps a report on one line.
func line(text string) string {
	return strings.ReplaceAll(text, "\n", " | ")
}

func (c *checks) equal(sentence string, got, want any) bool {
	return c.report(sentence, reflect.DeepEqual(got, want), fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want))
}

func (c *checks) holds(sentence string, good bool, got any, want string) bool {
	return c.report(sentence, good, fmt.Sprintf("%v", got), want)
}

func (c *checks) succeeds(sentence string, err error) bool {
	return c.report(sentence, err == nil, fmt.Sprintf("error %v", err), "no error")
}

// need is a step rather than a check: it says nothing when it succeeds and ends the scenario when it does not.
func (c *checks) need(step string, err error) {
	if err != nil {
		c.report(step, false, fmt.Sprintf("error %v", err), "no error")
		panic(broken{})
	}
}

// recovered is deferred, so that one broken scenario leaves the others running.
func (c *checks) recovered() {
	switch fault := recover().(type) {
	case nil, broken:
	default:
		c.report("the scenario ends without a panic", false, fmt.Sprint(fault), "none")
	}
}

// gives checks the result of a call: gives(c, sentence, want)(call()).
func gives[T any](c *checks, sentence string, want T) func(T, error) {
	return func(got T, err error) {
		if err != nil {
			c.report(sentence, false, fmt.Sprintf("error %v", err), fmt.Sprintf("%#v", want))
			return
		}
		c.equal(sentence, got, want)
	}
}

// must passes on the result of a call that all others stand on: must(c, step, value, err).
func must[T any](c *checks, step string) func(T, error) T {
	return func(got T, err error) T {
		c.need(step, err)
		return got
	}
}

// refuses checks the kind of the error of a call that answers as well: refuses(c, sentence, kind)(call()).
func refuses(c *checks, sentence string, kinds ...errors.Type) func(any, error) {
	return func(_ any, err error) { c.refused(sentence, err, kinds...) }
}

// refused checks the kind of an error; any of the kinds will do.
func (c *checks) refused(sentence string, err error, kinds ...errors.Type) {
	want := make([]string, len(kinds))
	good := false
	for i, kind := range kinds {
		want[i] = "error " + kindName(kind)
		good = good || (err != nil && errors.IsType(err, kind))
	}
	got := "no error"
	if err != nil {
		got = fmt.Sprintf("error %s (%v)", kindName(errors.TypeOf(err)), err)
	}
	c.report(sentence, good, got, strings.Join(want, " or "))
}

func kindName(kind errors.Type) string {
	names := []string{
		"Unknown", "Canceled", "NotFound", "AlreadyExists", "Unauthorized", "Forbidden", "Conflict", "Invalid",
		"Unavailable", "NotSupported", "Timeout", "Internal", "Fault",
	}
	if int(kind) < len(names) {
		return names[kind]
	}
	return fmt.Sprint(int(kind))
}
