package main

import (
	"fmt"
	"time"

	"github.com/atomix/atomix/api/errors"
)

const (
	// lifetime of what is to expire.
	lifetime = 500 * time.Millisecond
	// late is what a server may take beyond that.
	late = 2500 * time.Millisecond
)

// expires checks that an entry is there until its time is over, and gone soon after. It was written just after `begin`.
func (c *checks) expires(sentence string, begin time.Time, get func() error) {
	for {
		asked := time.Since(begin)
		err := get()
		answered := time.Since(begin)
		switch {
		case err == nil && asked > lifetime+late:
			c.report(sentence, false, fmt.Sprintf("there after %v", asked), fmt.Sprintf("gone after %v", lifetime+late))
			return
		case err == nil:
			time.Sleep(20 * time.Millisecond)
		case errors.IsNotFound(err):
			// The server counts in whole milliseconds.
			c.holds(sentence, answered >= lifetime-time.Millisecond, "gone after "+answered.String(), "gone after "+lifetime.String())
			return
		default:
			c.succeeds(sentence, err)
			return
		}
	}
}
