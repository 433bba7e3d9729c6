package main

import (
	"context"
	"time"

	"github.com/atomix/atomix/api/errors"
	"github.com/atomix/go-sdk/pkg/primitive/lock"
)

// gone is how long what a lost connection holds may stay taken.
const gone = 20 * time.Second

func sessions(s *session) {
	sessionsOfOne(s)
	sessionsLost(s)
}

// sessionsOfOne: a connection has one session with a primitive, whichever handle; closing one is not closing others.
func sessionsOfOne(s *session) {
	ctx := s.ctx()
	connection := s.client()
	one, two := s.texts(connection, s.name("map")), s.texts(connection, s.name("map"))
	another := s.texts(connection, s.name("another"))
	events, others := s.mapEvents(s.open(), two), s.mapEvents(s.open(), another)
	s.succeeds("a map is closed by one of two handles", one.Close(ctx))
	events.ends("the other one's events end")
	entry := s.put(another, "a", "1")
	others.is("another map's events go on", "inserted "+pairText(entry))
	entry = s.put(two, "a", "1")
	gives(s.checks, "the closed handle is used as if nothing had been", entry)(one.Get(ctx, "a"))
	again := s.mapEvents(s.open(), two)
	entry = s.put(one, "b", "1")
	again.is("and hears events again", "inserted "+pairText(entry))
}

// sessionsLost closes connections without closing what they hold: one wait for all.
func sessionsLost(s *session) {
	name := s.name("lock")
	holder, queueing := s.client(), s.client()
	version := must[lock.Version](s.checks, "lock")(try(s, s.lock(holder, name)))
	lost := waiting(s.within(3*gone), s.lock(queueing, name))
	queued()
	next := waiting(s.open(), s.lock(s.client(), name))
	first := s.candidate(holder, s.name("election"), "c1")
	second := s.candidate(queueing, s.name("election"), "c2")
	third := s.candidate(s.client(), s.name("election"), "c3")
	s.term("enter", `1 "c1" []`)(first.Enter(s.ctx()))
	s.term("enter", `1 "c1" [c2]`)(second.Enter(s.ctx()))
	s.term("enter", `1 "c1" [c2 c3]`)(third.Enter(s.ctx()))
	terms := s.terms(s.open(), third)
	terms.is("a watch begins with the term that is there", `1 "c1" [c2 c3]`)
	kept := s.put(s.texts(holder, s.name("kept")), "a", "1")

	begin := time.Now()
	s.need("close the queue's connection", queueing.Close())
	s.need("close the holder's connection", holder.Close())
	s.holds("a call ends with its connection", (<-lost).err != nil, "no error", "an error")
	granted := s.granted("a lock is free when its holder's connection has been gone for 20 s", next, gone)
	s.holds("its version is later", granted.version > version, granted.version, "a later one")
	terms.until("and its candidates have left", gone+time.Second-time.Since(begin), func(term string) bool {
		return term == `2 "c3" []` || term == `3 "c3" []`
	})
	entry, err := s.texts(s.client(), s.name("kept")).Get(context.Background(), "a")
	gives(s.checks, "what it wrote stays", kept)(entry, err)
	refuses(s.checks, "the lock is the next one's now", errors.Conflict)(try(s, s.lock(s.client(), name)))
}
