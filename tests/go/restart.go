package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/atomix/atomix/api/errors"
	counterv1 "github.com/atomix/atomix/api/runtime/counter/v1"
	"github.com/atomix/go-sdk/pkg/primitive/lock"
)

const (
	// back is how long the SDK may take until its connection is there again: it pauses between its attempts.
	back = 60 * time.Second
	// restarted connections keep what they held for 75 s.
	goneRestarted = 80 * time.Second
)

// restarted asks whoever started this program to restart the server, and waits for a line that says so.
func (s *session) restarted() {
	fmt.Println("# restart the server")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	s.need("wait for the restart", err)
}

// restart: handles that were opened before go on working, and nothing that was answered is lost.
func restart(s *session) {
	connection := s.client()
	counter := s.counter(connection, s.name("counter"))
	m := s.texts(connection, s.name("map"))
	indexed := s.positions(connection, s.name("indexedmap"))
	set := s.elements(connection, s.name("set"))
	list := s.items(connection, s.name("list"))
	value := s.single(connection, s.name("value"))
	held := s.lock(connection, s.name("lock"))
	election := s.candidate(connection, s.name("election"), "c1")

	must[int64](s.checks, "increment")(counter.Increment(s.ctx(), 7))
	entry := s.put(m, "a", "1")
	position := s.append(indexed, "a", "1")
	must[bool](s.checks, "add")(set.Add(s.ctx(), "a"))
	s.need("append", list.Append(s.ctx(), "a"))
	single := s.set(value, "1")
	version := must[lock.Version](s.checks, "lock")(try(s, held))
	s.term("enter", `1 "c1" []`)(election.Enter(s.ctx()))
	events, watch := s.mapEvents(s.open(), m), s.mapWatch(s.open(), m)
	watch.is("a watch begins with what is there", pairText(entry))
	s.restarted()

	ctx := s.within(back)
	gives(s.checks, "a counter has its number", int64(7))(counter.Get(ctx))
	gives(s.checks, "a map has its entries", entry)(m.Get(ctx, "a"))
	gives(s.checks, "an indexed map has its entries", position)(indexed.Get(ctx, "a"))
	gives(s.checks, "a set has its elements", true)(set.Contains(ctx, "a"))
	gives(s.checks, "a list has its items", "a")(list.Get(ctx, 0))
	gives(s.checks, "a value is there", single)(value.Get(ctx))
	gives(s.checks, "a lock is held", version)(held.Get(ctx))
	stranger := s.lock(s.client(), s.name("lock"))
	refuses(s.checks, "and not given to others", errors.Conflict)(try(s, stranger))
	s.term("a leader leads", `1 "c1" []`)(election.GetTerm(ctx))

	gives(s.checks, "a counter counts on", int64(8))(counter.Increment(ctx, 1))
	later := s.put(m, "b", "1")
	s.holds("versions go on", later.Version > entry.Version, later.Version, "a later one")
	s.equal("indexes go on", s.append(indexed, "b", "1").Index, position.Index+1)
	gives(s.checks, "a set takes elements", true)(set.Add(ctx, "b"))
	gives(s.checks, "and knows those it had", false)(set.Add(ctx, "a"))
	s.succeeds("a list takes items", list.Append(ctx, "b"))
	s.equal("behind those it had", s.listedItems(list), []string{"a", "b"})
	s.holds("a value is set", s.set(value, "2").Version > single.Version, "an earlier version", "a later one")
	another := s.lock(connection, s.name("lock-new"))
	must[lock.Version](s.checks, "lock")(try(s, another))
	s.succeeds("a lock is taken and unlocked", another.Unlock(ctx))
	restartStreams(s, m, events, watch)
	_, err := counterv1.NewCounterClient(s.stubs(s.client())).Get(ctx, &counterv1.GetRequest{ID: id(s.name("counter"))})
	s.succeeds("names are known without creating them again", err)
}

// restartStreams: the SDK opens streams again by itself, after a pause in which events are lost to it.
func restartStreams(s *session, m texts, events, watch *follower[string]) {
	watch.until("a watch tells what is there again", back, func(text string) bool { return text[:2] == "b=" })
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		events.until("events are told again", back, func(text string) bool { return text[:11] == "inserted c-" })
	}()
	for index := 0; ; index++ {
		select {
		case <-heard:
			return
		case <-time.After(100 * time.Millisecond):
			s.put(m, fmt.Sprint("c-", index), "1")
		}
	}
}

// restartSessions: what nobody comes back for is free 75 s after a restart.
func restartSessions(s *session) {
	holder := s.client()
	must[lock.Version](s.checks, "lock")(try(s, s.lock(holder, s.name("lock"))))
	s.term("enter", `1 "c1" []`)(s.candidate(holder, s.name("election"), "c1").Enter(s.ctx()))
	s.restarted()
	s.need("close", holder.Close())
	begin := time.Now()
	ctx := s.within(goneRestarted + back)
	other := s.lock(s.client(), s.name("lock"))
	refuses(s.checks, "a lock that was held stays taken", errors.Conflict)(other.Lock(ctx, lock.WithTimeout(0)))
	granted := waiting(ctx, other, lock.WithTimeout(goneRestarted+late))
	s.granted("and is free 75 s after the restart", granted, goneRestarted+deadline)
	second := s.candidate(s.client(), s.name("election"), "c2")
	for {
		term, err := second.GetTerm(ctx)
		s.need("get the term", err)
		if term.Leader == "" || time.Since(begin) > goneRestarted+late {
			s.equal("and its leader has left", termText(term), `1 "" []`)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
