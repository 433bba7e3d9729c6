package main

import (
	"context"
	"time"

	"github.com/atomix/atomix/api/errors"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/lock"
)

func (s *session) lock(connection *client.Client, name string) lock.Lock {
	return must[lock.Lock](s.checks, "create lock "+name)(client.Lock(connection)(name).Get(s.ctx()))
}

// try asks for a lock that must be free at once.
func try(s *session, l lock.Lock) (lock.Version, error) {
	return l.Lock(s.ctx(), lock.WithTimeout(0))
}

// grant is what came of a wait for a lock.
type grant struct {
	version lock.Version
	err     error
}

// waiting asks for a lock in the background.
func waiting(ctx context.Context, l lock.Lock, options ...lock.LockOption) chan grant {
	granted := make(chan grant, 1)
	go func() {
		version, err := l.Lock(ctx, options...)
		granted <- grant{version, err}
	}()
	return granted
}

// granted waits for a grant.
func (s *session) granted(sentence string, waiting chan grant, limit time.Duration) grant {
	select {
	case grant := <-waiting:
		s.succeeds(sentence, grant.err)
		return grant
	case <-time.After(limit):
		s.holds(sentence, false, "nothing", "the lock within "+limit.String())
		panic(broken{})
	}
}

// queued gives a request time to reach the queue: nothing tells from outside when it has.
func queued() {
	time.Sleep(300 * time.Millisecond)
}

func locks(s *session) {
	name := s.name("lock")
	first, second, third := s.lock(s.client(), name), s.lock(s.client(), name), s.lock(s.client(), name)
	s.equal("a lock has the name it was asked for by", first.Name(), name)
	version := lockTaken(s, first, second)
	version = lockTimeouts(s, version, first, second)
	lockQueue(s, version, first, second, third)
	lockGivenUp(s, first, second, third)
	lockSession(s, s.name("lock-session"))
	lockClosed(s, s.name("lock-closed"))

	tagged, err := client.Lock(s.client())(s.name("tagged")).Tag("a").Get(s.ctx())
	s.need("create a lock with tags", err)
	_, err = try(s, tagged)
	s.succeeds("a lock with tags works", err)
}

// lockTaken leaves the first holding the lock.
func lockTaken(s *session, first, second lock.Lock) lock.Version {
	ctx := s.ctx()
	refuses(s.checks, "a free lock has no version", errors.NotFound)(first.Get(ctx))
	s.refused("a free lock is not unlocked", first.Unlock(ctx), errors.Conflict)
	version := must[lock.Version](s.checks, "lock")(first.Lock(context.Background()))
	s.holds("a lock has a version", version > 0, version, "more than 0")
	gives(s.checks, "its holder reads it", version)(first.Get(ctx))
	gives(s.checks, "and others", version)(second.Get(ctx))
	refuses(s.checks, "a held lock is refused at once to who does not wait", errors.Conflict)(try(s, second))
	s.refused("others do not unlock it", second.Unlock(ctx), errors.Conflict)
	gives(s.checks, "what is refused changes nothing", version)(first.Get(ctx))
	s.succeeds("its holder unlocks it", first.Unlock(ctx))
	refuses(s.checks, "a lock is free then", errors.NotFound)(second.Get(ctx))
	s.refused("and not unlocked twice", first.Unlock(ctx), errors.Conflict)
	next := must[lock.Version](s.checks, "lock")(try(s, second))
	s.holds("a later grant has a later version", next > version, next, "a later one")
	s.succeeds("unlock", second.Unlock(ctx))
	return must[lock.Version](s.checks, "lock")(try(s, first))
}

func lockTimeouts(s *session, version lock.Version, first, second lock.Lock) lock.Version {
	// The context is made once the clock runs: a deadline counts from then on.
	wait := func(sentence string, start func() context.Context, l lock.Lock, kinds []errors.Type, options ...lock.LockOption) {
		begin := time.Now()
		grant := <-waiting(start(), l, options...)
		after := time.Since(begin)
		s.refused(sentence, grant.err, kinds...)
		// The server counts whole milliseconds.
		inTime := after >= lifetime-time.Millisecond && after < lifetime+late
		s.holds("after its time", inTime, after, "0.5 s to 3 s")
	}
	conflict := []errors.Type{errors.Conflict}
	wait("a wait with a timeout ends", s.ctx, second, conflict, lock.WithTimeout(lifetime))
	wait("a lock is not re-entrant", s.ctx, first, conflict, lock.WithTimeout(lifetime))
	// The SDK sends the deadline as timeout as well: whichever is first.
	either := []errors.Type{errors.Conflict, errors.Timeout}
	wait("a wait with a deadline ends", func() context.Context { return s.within(lifetime) }, second, either)
	gives(s.checks, "the holder has kept the lock", version)(second.Get(s.ctx()))
	s.need("unlock", first.Unlock(s.ctx()))
	refuses(s.checks, "who has given up is not granted it", errors.NotFound)(second.Get(s.ctx()))
	return must[lock.Version](s.checks, "lock")(try(s, first))
}

func lockQueue(s *session, version lock.Version, first, second, third lock.Lock) {
	ctx := s.ctx()
	seconds := waiting(s.within(2*deadline), second)
	queued()
	thirds := waiting(s.open(), third)
	queued()
	s.need("unlock", first.Unlock(ctx))
	granted := s.granted("the first in the queue is next", seconds, deadline)
	s.holds("its version is later", granted.version > version, granted.version, "a later one")
	gives(s.checks, "it holds the lock", granted.version)(first.Get(ctx))
	s.holds("the next waits on", len(thirds) == 0, len(thirds), "no grant")
	s.need("unlock", second.Unlock(ctx))
	last := s.granted("then the next", thirds, deadline)
	s.holds("its version is later still", last.version > granted.version, last.version, "a later one")
	s.need("unlock", third.Unlock(ctx))
}

// lockGivenUp cancels a wait: it must not be granted later, to nobody.
func lockGivenUp(s *session, first, second, third lock.Lock) {
	ctx := s.ctx()
	must[lock.Version](s.checks, "lock")(try(s, first))
	cancelled, cancel := context.WithCancel(context.Background())
	seconds := waiting(cancelled, second)
	queued()
	thirds := waiting(s.open(), third)
	queued()
	cancel()
	s.refused("a wait that is given up ends", (<-seconds).err, errors.Canceled)
	queued()
	s.need("unlock", first.Unlock(ctx))
	s.granted("the lock passes over who has given up", thirds, deadline)
	s.need("unlock", third.Unlock(ctx))
	refuses(s.checks, "and is free then", errors.NotFound)(first.Get(ctx))
}

// lockSession: all handles of one connection are one holder.
func lockSession(s *session, name string) {
	connection := s.client()
	one, two := s.lock(connection, name), s.lock(connection, name)
	must[lock.Version](s.checks, "lock")(try(s, one))
	refuses(s.checks, "another handle of the connection does not get it", errors.Conflict)(try(s, two))
	s.succeeds("but may unlock it", two.Unlock(s.ctx()))
	refuses(s.checks, "it is free then", errors.NotFound)(one.Get(s.ctx()))
}

func lockClosed(s *session, name string) {
	first, second, third := s.lock(s.client(), name), s.lock(s.client(), name), s.lock(s.client(), name)
	must[lock.Version](s.checks, "lock")(try(s, first))
	thirds := waiting(s.open(), third)
	queued()
	s.succeeds("a lock that others hold is closed", second.Close(s.ctx()))
	s.holds("which unlocks nothing", len(thirds) == 0, len(thirds), "no grant")
	s.succeeds("a lock is closed by its holder", first.Close(s.ctx()))
	granted := s.granted("which unlocks it", thirds, deadline)
	again := s.lock(s.client(), name)
	gives(s.checks, "the next holds it", granted.version)(again.Get(s.ctx()))
	s.succeeds("a lock that was closed is closed again", first.Close(s.ctx()))
	gives(s.checks, "which does not touch the next holder", granted.version)(again.Get(s.ctx()))
}
