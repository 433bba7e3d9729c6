package main

import (
	"context"
	"fmt"
	"sort"

	_map "github.com/atomix/go-sdk/pkg/primitive/map"
)

func mapEventText(event _map.Event[string, string]) string {
	switch event := event.(type) {
	case *_map.Inserted[string, string]:
		return "inserted " + pairText(event.Entry)
	case *_map.Updated[string, string]:
		return "updated " + pairText(event.PrevEntry) + " to " + pairText(event.Entry)
	case *_map.Removed[string, string]:
		if event.Expired {
			return "expired " + pairText(event.Entry)
		}
		return "removed " + pairText(event.Entry)
	}
	return fmt.Sprintf("%T", event)
}

func (s *session) mapEvents(ctx context.Context, m texts, options ..._map.EventsOption) *follower[string] {
	events, err := m.Events(ctx, options...)
	return told[_map.Event[string, string]](s.checks, "listen to a map", events, err, mapEventText)
}

func (s *session) mapWatch(ctx context.Context, m texts) *follower[string] {
	entries, err := m.Watch(ctx)
	return told[*pair](s.checks, "watch a map", entries, err, pairText)
}

func mapStreams(s *session) {
	name := s.name("map")
	writer, reader := s.texts(s.client(), name), s.texts(s.client(), name)
	mapEventsOf(s, writer, reader)
	s.need("clear", writer.Clear(s.ctx()))
	mapWatches(s, writer, reader)
	s.need("clear", writer.Clear(s.ctx()))
	mapSeam(s, writer, reader)
	mapEnds(s, writer, reader)
}

func mapEventsOf(s *session, writer, reader texts) {
	ctx := s.ctx()
	before := s.put(writer, "before", "1")
	// Events opens only when the server has answered: nothing that comes then is missed.
	events := s.mapEvents(s.open(), reader)
	one := s.mapEvents(s.open(), reader, _map.WithKey("b"))
	same := s.mapEvents(s.open(), reader, _map.WithFilter(_map.Filter{Key: "b"}))
	first := s.put(writer, "a", "1")
	events.is("a put of a new key is told, and nothing of before", "inserted "+pairText(first))
	second := s.put(writer, "a", "2")
	events.is("a put is told with the entry before", "updated "+pairText(first)+" to "+pairText(second))
	s.put(writer, "a", "2")
	inserted := must[*pair](s.checks, "insert")(writer.Insert(ctx, "b", "1"))
	events.is("a put of an equal value is not told, an insert is", "inserted "+pairText(inserted))
	updated := must[*pair](s.checks, "update")(writer.Update(ctx, "b", "1"))
	events.is("an update to an equal value is told", "updated "+pairText(inserted)+" to "+pairText(updated))
	_, err := writer.Remove(ctx, "b")
	s.need("remove", err)
	events.is("a remove is told with the entry that was there", "removed "+pairText(updated))
	short := s.put(writer, "b", "2", _map.WithTTL(lifetime))
	events.is("a put with a time to live is told", "inserted "+pairText(short))
	events.is("its end is told as such", "expired "+pairText(short))
	s.need("clear", writer.Clear(ctx))
	cleared := []string{events.next("receive a clear's first event"), events.next("receive a clear's second event")}
	sort.Strings(cleared)
	s.equal("a clear is told once for each entry", cleared, []string{"removed " + pairText(second), "removed " + pairText(before)})
	events.silent("and nothing else is told")
	for _, filtered := range []*follower[string]{one, same} {
		filtered.is("events of one key begin with its own", "inserted "+pairText(inserted))
		filtered.is("go on with its own", "updated "+pairText(inserted)+" to "+pairText(updated))
		filtered.is("and on", "removed "+pairText(updated))
		filtered.is("and on", "inserted "+pairText(short))
		filtered.is("and end with its own", "expired "+pairText(short))
		filtered.silent("events of one key have no others")
	}
}

func mapWatches(s *session, writer, reader texts) {
	ctx := s.ctx()
	empty := s.mapWatch(s.open(), reader)
	first := s.put(writer, "a", "1")
	empty.is("a watch of nothing tells what comes", pairText(first))
	watch := s.mapWatch(s.open(), reader)
	watch.is("a watch begins with what is there", pairText(first))
	second := s.put(writer, "a", "2")
	watch.is("a watch tells a change", pairText(second))
	_, err := writer.Remove(ctx, "a")
	s.need("remove", err)
	watch.is("a watch shows a removed entry as it was", pairText(second))
	third, fourth := s.put(writer, "a", "3"), s.put(writer, "b", "1")
	watch.is("a watch tells an entry that comes again", pairText(third))
	watch.is("and another one", pairText(fourth))
	s.need("clear", writer.Clear(ctx))
	cleared := []string{watch.next("receive a clear's first entry"), watch.next("receive a clear's second entry")}
	sort.Strings(cleared)
	s.equal("a watch shows every cleared entry once", cleared, []string{pairText(third), pairText(fourth)})
	watch.silent("and nothing else")
}

// mapSeam watches while another connection writes: every entry is told, and in order.
func mapSeam(s *session, writer, reader texts) {
	const entries = 300
	done := make(chan struct{})
	ctx := s.within(3 * deadline)
	go func() {
		defer close(done)
		for index := 0; index < entries; index++ {
			if _, err := writer.Put(ctx, fmt.Sprintf("seam-%03d", index), "1"); err != nil {
				s.succeeds("a put while others watch", err)
				return
			}
		}
	}()
	watches := []*follower[string]{}
	for index := 0; index < 5; index++ {
		watches = append(watches, s.mapWatch(s.open(), reader))
	}
	<-done
	for _, watch := range watches {
		seen := map[string]int{}
		for len(seen) < entries {
			seen[watch.next("receive every entry")]++
		}
		twice := 0
		for _, times := range seen {
			twice += times - 1
		}
		s.equal("a watch that begins between writes tells each once", twice, 0)
		watch.silent("and nothing else")
	}
}

func mapEnds(s *session, writer, reader texts) {
	cancelled, cancel := context.WithCancel(s.open())
	given := s.mapEvents(cancelled, reader)
	closed := s.mapEvents(s.open(), reader)
	watch := s.mapWatch(s.open(), reader)
	for index := 0; index < 300; index++ {
		watch.next("receive what is there")
	}
	other := s.mapEvents(s.open(), writer)
	cancel()
	given.ends("events that are given up end")
	last := s.put(writer, "last", "1")
	s.need("close", reader.Close(s.ctx()))
	closed.is("what was written before a close is told", "inserted "+pairText(last))
	closed.ends("events end with their map's close")
	watch.is("a watch tells what was written before a close", pairText(last))
	watch.ends("a watch ends with its map's close")
	other.is("another connection's events go on", "inserted "+pairText(last))
	later := s.put(writer, "later", "1")
	other.is("and on", "inserted "+pairText(later))
}
