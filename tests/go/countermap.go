package main

import (
	"context"
	"time"

	"github.com/atomix/atomix/api/errors"
	countermapv1 "github.com/atomix/atomix/api/runtime/countermap/v1"
)

// countermaps uses the generated stub: the SDK has no counter map.
func countermaps(s *session) {
	name := s.name("countermap")
	conn := s.stubs(s.client())
	ctx := s.ctx()
	_, err := countermapv1.NewCounterMapsClient(conn).Create(ctx, &countermapv1.CreateRequest{ID: id(name)})
	s.need("create a counter map", err)
	m := countermapv1.NewCounterMapClient(conn)

	events := s.counterMapEvents(m, name, "")
	one := s.counterMapEvents(m, name, "b")
	counterMapNumbers(s, m, name)
	counterMapTold(events, one)

	m2 := countermapv1.NewCounterMapClient(s.stubs(s.client()))
	watch := s.counterMapEntries(m2, name, true)
	watch.is("a watch begins with what is there", countermapv1.Entry{Key: "a", Value: 4})
	_, err = m.Increment(ctx, &countermapv1.IncrementRequest{ID: id(name), Key: "a", Delta: 6})
	s.need("increment", err)
	watch.is("a watch tells the sum, not what was added", countermapv1.Entry{Key: "a", Value: 10})

	_, err = m.Clear(ctx, &countermapv1.ClearRequest{ID: id(name)})
	s.succeeds("a counter map is cleared", err)
	size, err := m.Size(ctx, &countermapv1.SizeRequest{ID: id(name)})
	gives(s.checks, "nothing is left then", uint32(0))(size.GetSize_(), err)
	entries := s.counterMapEntries(m2, name, false)
	entries.ends("a list of nothing ends at once")
	counterMapLocks(s, name)
	_, err = m.Close(ctx, &countermapv1.CloseRequest{ID: id(name)})
	s.succeeds("a counter map is closed", err)
}

// counterMapLocks: keys of a counter map for one connection.
func counterMapLocks(s *session, name string) {
	var stubs []countermapv1.CounterMapClient
	for i := 0; i < 3; i++ {
		stubs = append(stubs, countermapv1.NewCounterMapClient(s.stubs(s.client())))
	}
	keysLocked(s, locker{
		lock: func(ctx context.Context, by int, timeout *time.Duration, keys ...string) error {
			_, err := stubs[by].Lock(ctx, &countermapv1.LockRequest{ID: id(name), Keys: keys, Timeout: timeout})
			return err
		},
		unlock: func(ctx context.Context, by int, keys ...string) error {
			_, err := stubs[by].Unlock(ctx, &countermapv1.UnlockRequest{ID: id(name), Keys: keys})
			return err
		},
		close: func(ctx context.Context, by int) error {
			_, err := stubs[by].Close(ctx, &countermapv1.CloseRequest{ID: id(name)})
			return err
		},
	})
}

func counterMapNumbers(s *session, m countermapv1.CounterMapClient, name string) {
	ctx := s.ctx()
	set := func(key string, value int64) (int64, error) {
		response, err := m.Set(ctx, &countermapv1.SetRequest{ID: id(name), Key: key, Value: value})
		return response.GetPrevValue(), err
	}
	get := func(key string) (int64, error) {
		response, err := m.Get(ctx, &countermapv1.GetRequest{ID: id(name), Key: key})
		return response.GetValue(), err
	}
	add := func(key string, delta int64) (int64, error) {
		response, err := m.Increment(ctx, &countermapv1.IncrementRequest{ID: id(name), Key: key, Delta: delta})
		return response.GetPrevValue(), err
	}
	subtract := func(key string, delta int64) (int64, error) {
		response, err := m.Decrement(ctx, &countermapv1.DecrementRequest{ID: id(name), Key: key, Delta: delta})
		return response.GetPrevValue(), err
	}
	update := func(key string, value, prev int64) (int64, error) {
		response, err := m.Update(ctx, &countermapv1.UpdateRequest{ID: id(name), Key: key, Value: value, PrevValue: prev})
		return response.GetPrevValue(), err
	}
	remove := func(key string, prev int64) (int64, error) {
		response, err := m.Remove(ctx, &countermapv1.RemoveRequest{ID: id(name), Key: key, PrevValue: prev})
		return response.GetValue(), err
	}
	insert := func(key string, value int64) error {
		_, err := m.Insert(ctx, &countermapv1.InsertRequest{ID: id(name), Key: key, Value: value})
		return err
	}

	refuses(s.checks, "an unknown key is not found", errors.NotFound)(get("a"))
	gives(s.checks, "a set of a new key answers with 0", int64(0))(set("a", 1))
	gives(s.checks, "a set answers with the number before", int64(1))(set("a", 2))
	s.succeeds("a new key is inserted", insert("b", 7))
	s.refused("a key that is there is not inserted", insert("b", 8), errors.AlreadyExists)
	gives(s.checks, "an increment answers with the number before", int64(2))(add("a", 3))
	gives(s.checks, "an increment by 0 adds 1", int64(5))(add("a", 0))
	gives(s.checks, "a decrement answers with the number before", int64(6))(subtract("a", 2))
	gives(s.checks, "all that is read", int64(4))(get("a"))
	gives(s.checks, "an increment makes a key", int64(0))(add("c", 9))
	gives(s.checks, "an update that knows the number is taken", int64(7))(update("b", 0, 7))
	refuses(s.checks, "an update that does not know it is refused", errors.Conflict)(update("b", 5, 7))
	gives(s.checks, "a refused update writes nothing", int64(0))(get("b"))
	refuses(s.checks, "an update of an unknown key is refused", errors.NotFound)(update("x", 1, 0))
	refuses(s.checks, "a remove that does not know the number is refused", errors.Conflict)(remove("c", 0))
	gives(s.checks, "a remove that knows it is taken", int64(9))(remove("c", 9))
	gives(s.checks, "0 is known by 0", int64(0))(remove("b", 0))
	refuses(s.checks, "a remove of an unknown key is refused", errors.NotFound)(remove("b", 0))
	size, err := m.Size(ctx, &countermapv1.SizeRequest{ID: id(name)})
	gives(s.checks, "one key is left", uint32(1))(size.GetSize_(), err)
}

// counterMapTold checks the events of counterMapNumbers.
func counterMapTold(events, one *follower[countermapv1.Event]) {
	inserted := func(key string, value int64) countermapv1.Event {
		inserted := &countermapv1.Event_Inserted{Value: value}
		return countermapv1.Event{Key: key, Event: &countermapv1.Event_Inserted_{Inserted: inserted}}
	}
	updated := func(key string, prev, value int64) countermapv1.Event {
		updated := &countermapv1.Event_Updated{Value: value, PrevValue: prev}
		return countermapv1.Event{Key: key, Event: &countermapv1.Event_Updated_{Updated: updated}}
	}
	removed := func(key string, value int64) countermapv1.Event {
		removed := &countermapv1.Event_Removed{Value: value}
		return countermapv1.Event{Key: key, Event: &countermapv1.Event_Removed_{Removed: removed}}
	}
	events.is("a set of a new key is told", inserted("a", 1))
	events.is("a set is told", updated("a", 1, 2))
	events.is("an insert is told", inserted("b", 7))
	events.is("an increment is told", updated("a", 2, 5))
	events.is("an increment by 0 is told", updated("a", 5, 6))
	events.is("a decrement is told", updated("a", 6, 4))
	events.is("an increment of a new key is told", inserted("c", 9))
	events.is("an update is told", updated("b", 7, 0))
	events.is("a remove is told", removed("c", 9))
	events.is("and the next, in their order", removed("b", 0))
	one.is("events of one key begin with its own", inserted("b", 7))
	one.is("events of one key have no others between", updated("b", 7, 0))
	one.is("events of one key end with its own", removed("b", 0))
}

func (s *session) counterMapEvents(m countermapv1.CounterMapClient, name, key string) *follower[countermapv1.Event] {
	stream, err := m.Events(s.open(), &countermapv1.EventsRequest{ID: id(name), Key: key})
	s.need("listen to a counter map", err)
	events := follow(s.checks, func() (countermapv1.Event, error) {
		response, err := stream.Recv()
		if err != nil {
			return countermapv1.Event{}, err
		}
		return response.Event, nil
	})
	opening := events.next("receive a first message")
	s.equal("events open with an empty message", opening.Event, nil)
	return events
}

func (s *session) counterMapEntries(m countermapv1.CounterMapClient, name string, watch bool) *follower[countermapv1.Entry] {
	stream, err := m.Entries(s.open(), &countermapv1.EntriesRequest{ID: id(name), Watch: watch})
	s.need("list a counter map", err)
	return follow(s.checks, func() (countermapv1.Entry, error) {
		response, err := stream.Recv()
		if err != nil {
			return countermapv1.Entry{}, err
		}
		return response.Entry, nil
	})
}
