package main

import (
	"fmt"
	"io"
	"time"

	"github.com/atomix/go-sdk/pkg/stream"
)

// follower reads a stream in the background, so that a wait for its next message can have an end.
type follower[T any] struct {
	checks   *checks
	messages chan T
	end      chan error
}

// Messages of one stream that may wait for their check.
const unread = 1024

func follow[T any](c *checks, receive func() (T, error)) *follower[T] {
	f := &follower[T]{checks: c, messages: make(chan T, unread), end: make(chan error, 1)}
	go func() {
		for {
			message, err := receive()
			if err != nil {
				f.end <- err
				return
			}
			f.messages <- message
		}
	}()
	return f
}

// followed follows a stream of the SDK: followed(c, step, stream, err).
func followed[T any](c *checks, step string, stream stream.Stream[T], err error) *follower[T] {
	c.need(step, err)
	return follow(c, stream.Next)
}

// next is the next message; it ends the scenario if none comes.
func (f *follower[T]) next(sentence string) T {
	message, err := f.within(deadline)
	f.checks.need(sentence, err)
	return message
}

func (f *follower[T]) within(limit time.Duration) (message T, err error) {
	// What has come before the end is still wanted.
	select {
	case message = <-f.messages:
		return message, nil
	default:
	}
	select {
	case message = <-f.messages:
		return message, nil
	case err = <-f.end:
		f.end <- err
		select {
		case message = <-f.messages:
			return message, nil
		default:
			return message, fmt.Errorf("the stream ended: %w", err)
		}
	case <-time.After(limit):
		return message, fmt.Errorf("no message within %v", limit)
	}
}

// is checks the next message.
func (f *follower[T]) is(sentence string, want T) {
	got, err := f.within(deadline)
	gives(f.checks, sentence, want)(got, err)
}

// ends checks that the stream ends without another message.
func (f *follower[T]) ends(sentence string) {
	message, err := f.within(deadline)
	good := err != nil && len(f.end) == 1 && <-f.end == io.EOF
	f.checks.holds(sentence, good, fmt.Sprintf("message %v, error %v", message, err), "the end")
}

// all reads a stream to its end.
func all[T any](stream stream.Stream[T], err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	items := []T{}
	for {
		item, err := stream.Next()
		if err == io.EOF {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
}

// told follows a stream of the SDK as texts, which say more in a report than pointers do.
func told[T any](c *checks, step string, stream stream.Stream[T], err error, text func(T) string) *follower[string] {
	c.need(step, err)
	return follow(c, func() (string, error) {
		message, err := stream.Next()
		if err != nil {
			return "", err
		}
		return text(message), nil
	})
}

// silent checks that nothing has come by now that was not checked. What comes later is for the next check to find.
func (f *follower[T]) silent(sentence string) {
	select {
	case message := <-f.messages:
		f.checks.holds(sentence, false, message, "nothing")
	default:
		f.checks.holds(sentence, true, nil, "nothing")
	}
}

// until passes over messages that come before the wanted one, at most for the given time.
func (f *follower[T]) until(sentence string, limit time.Duration, wanted func(T) bool) {
	end := time.Now().Add(limit)
	for {
		message, err := f.within(time.Until(end))
		if err != nil {
			f.checks.succeeds(sentence, err)
			return
		}
		if wanted(message) {
			f.checks.succeeds(sentence, nil)
			return
		}
	}
}
