package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/atomix/atomix/api/errors"
	"github.com/atomix/go-sdk/pkg/client"
)

// participate does what it is told by lines on standard input, and answers each with a line that begins with the same words.
// Each has a goroutine of its own: one may wait while others are done.
//
//	try NAME      lock NAME     the grant's version, or the kind of the error; the first does not wait
//	unlock NAME   held NAME     close NAME
//	exit          ends the process, and closes nothing
func participate(env environment) int {
	s := newSession(env, "participant")
	connection := s.client()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 2 {
			return 0
		}
		go func() { fmt.Println(words[0], words[1], s.obey(connection, words[0], words[1])) }()
	}
	return 0
}

func (s *session) obey(connection *client.Client, verb, name string) string {
	// Without the checks of a scenario: whoever gives orders does the checking.
	l, err := client.Lock(connection)(name).Get(s.ctx())
	if err != nil {
		return kindName(errors.TypeOf(err))
	}
	switch verb {
	case "try":
		version, err := try(s, l)
		return outcome(version, err)
	case "lock":
		version, err := l.Lock(s.open())
		return outcome(version, err)
	case "held":
		version, err := l.Get(s.ctx())
		return outcome(version, err)
	case "unlock":
		return outcome("done", l.Unlock(s.ctx()))
	case "close":
		return outcome("done", l.Close(s.ctx()))
	}
	return "no such order"
}

func outcome(answer any, err error) string {
	if err != nil {
		return kindName(errors.TypeOf(err))
	}
	return fmt.Sprint(answer)
}
