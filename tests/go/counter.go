package main

import (
	"math"
	"sync"

	"github.com/atomix/atomix/api/errors"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/counter"
)

func counters(s *session) {
	name := s.name("counter")
	ours := s.counter(s.client(), name)
	theirs := s.counter(s.client(), name)
	ctx := s.ctx()

	s.equal("a counter has the name it was asked for by", ours.Name(), name)
	gives(s.checks, "a new counter is 0", int64(0))(ours.Get(ctx))
	gives(s.checks, "an increment answers with the sum", int64(5))(ours.Increment(ctx, 5))
	gives(s.checks, "an increment by a negative number subtracts", int64(3))(ours.Increment(ctx, -2))
	gives(s.checks, "an increment by 0 changes nothing", int64(3))(ours.Increment(ctx, 0))
	gives(s.checks, "a decrement answers with the rest", int64(-1))(ours.Decrement(ctx, 4))
	gives(s.checks, "a decrement by a negative number adds", int64(1))(ours.Decrement(ctx, -2))
	gives(s.checks, "another connection reads the same", int64(1))(theirs.Get(ctx))
	s.succeeds("a counter is set", ours.Set(ctx, 10))
	gives(s.checks, "a set is read", int64(10))(theirs.Get(ctx))
	s.succeeds("an update that knows the number is taken", theirs.Update(ctx, 10, 20))
	gives(s.checks, "an update is read", int64(20))(ours.Get(ctx))
	s.refused("an update that does not know it is refused", ours.Update(ctx, 10, 30), errors.Conflict)
	gives(s.checks, "a refused update writes nothing", int64(20))(ours.Get(ctx))

	s.need("set the greatest number", ours.Set(ctx, math.MaxInt64))
	gives(s.checks, "a sum that is too great wraps", int64(math.MinInt64))(ours.Increment(ctx, 1))
	gives(s.checks, "a rest that is too small wraps", int64(math.MaxInt64))(ours.Decrement(ctx, 1))

	s.need("set", ours.Set(ctx, -7))
	s.succeeds("a counter is closed", ours.Close(ctx))
	s.succeeds("a closed counter is closed again", ours.Close(ctx))
	gives(s.checks, "the other connection goes on", int64(-7))(theirs.Get(ctx))
	again := s.counter(s.client(), name)
	gives(s.checks, "a closed counter keeps its number", int64(-7))(again.Get(ctx))

	tagged, err := client.Counter(s.client())(s.name("tagged")).Tag("a", "b").Get(ctx)
	s.need("create a counter with tags", err)
	gives(s.checks, "a counter with tags works", int64(1))(tagged.Increment(ctx, 1))

	countTogether(s)
}

// countTogether increments one counter from many connections: every sum is given once.
func countTogether(s *session) {
	const workers, rounds = 8, 50
	name := s.name("shared")
	var mutex sync.Mutex
	var group sync.WaitGroup
	sums := map[int64]int{}
	for worker := 0; worker < workers; worker++ {
		counter := s.counter(s.client(), name)
		ctx := s.ctx()
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < rounds; round++ {
				sum, err := counter.Increment(ctx, 1)
				if err != nil {
					s.succeeds("an increment among others", err)
					return
				}
				mutex.Lock()
				sums[sum]++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	s.equal("increments of many connections give each sum once", len(sums), workers*rounds)
	gives(s.checks, "and none is lost", int64(workers*rounds))(s.counter(s.client(), name).Get(s.ctx()))
}

func (s *session) counter(connection *client.Client, name string) counter.Counter {
	return must[counter.Counter](s.checks, "create counter "+name)(client.Counter(connection)(name).Get(s.ctx()))
}
