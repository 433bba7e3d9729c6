package main

import (
	"context"
	"fmt"
	"sort"

	"github.com/atomix/go-sdk/pkg/primitive/indexedmap"
)

func indexedMapEventText(event indexedmap.Event[string, string]) string {
	switch event := event.(type) {
	case *indexedmap.Inserted[string, string]:
		return "inserted " + positionText(event.Entry)
	case *indexedmap.Updated[string, string]:
		return "updated " + positionText(event.PrevEntry) + " to " + positionText(event.Entry)
	case *indexedmap.Removed[string, string]:
		if event.Expired {
			return "expired " + positionText(event.Entry)
		}
		return "removed " + positionText(event.Entry)
	}
	return fmt.Sprintf("%T", event)
}

func (s *session) indexedMapEvents(ctx context.Context, m positions, options ...indexedmap.EventsOption) *follower[string] {
	events, err := m.Events(ctx, options...)
	return told[indexedmap.Event[string, string]](s.checks, "listen to an indexed map", events, err, indexedMapEventText)
}

func (s *session) indexedMapWatch(ctx context.Context, m positions) *follower[string] {
	entries, err := m.Watch(ctx)
	return told[*position](s.checks, "watch an indexed map", entries, err, positionText)
}

func indexedMapStreams(s *session) {
	name := s.name("indexedmap")
	writer, reader := s.positions(s.client(), name), s.positions(s.client(), name)
	indexedMapEventsOf(s, writer, reader)
	s.need("clear", writer.Clear(s.ctx()))
	indexedMapWatches(s, writer, reader)
	indexedMapEnds(s, writer, reader)
}

func indexedMapEventsOf(s *session, writer, reader positions) {
	ctx := s.ctx()
	before := s.append(writer, "before", "1")
	events := s.indexedMapEvents(s.open(), reader)
	one := s.indexedMapEvents(s.open(), reader, indexedmap.WithKey("b"))
	same := s.indexedMapEvents(s.open(), reader, indexedmap.WithFilter(indexedmap.Filter{Key: "b"}))
	first := s.append(writer, "a", "1")
	events.is("an append is told, and nothing of before", "inserted "+positionText(first))
	second := must[*position](s.checks, "update")(writer.Update(ctx, "a", "2"))
	events.is("an update is told with the entry before", "updated "+positionText(first)+" to "+positionText(second))
	must[*position](s.checks, "update")(writer.Update(ctx, "a", "2"))
	inserted := s.append(writer, "b", "1")
	events.is("an update to an equal value is not told", "inserted "+positionText(inserted))
	must[*position](s.checks, "remove")(writer.Remove(ctx, "b"))
	events.is("a remove is told with the entry that was there", "removed "+positionText(inserted))
	short := s.append(writer, "b", "2", indexedmap.WithTTL(lifetime))
	events.is("an append with a time to live is told", "inserted "+positionText(short))
	events.is("its end is told as such", "expired "+positionText(short))
	s.need("clear", writer.Clear(ctx))
	cleared := []string{events.next("receive a clear's first event"), events.next("receive a clear's second event")}
	wanted := []string{"removed " + positionText(before), "removed " + positionText(second)}
	sort.Strings(cleared)
	sort.Strings(wanted)
	s.equal("a clear is told once for each entry", cleared, wanted)
	events.silent("and nothing else is told")
	for _, filtered := range []*follower[string]{one, same} {
		filtered.is("events of one key begin with its own", "inserted "+positionText(inserted))
		filtered.is("go on with its own", "removed "+positionText(inserted))
		filtered.is("and on", "inserted "+positionText(short))
		filtered.is("and end with its own", "expired "+positionText(short))
		filtered.silent("events of one key have no others")
	}
}

func indexedMapWatches(s *session, writer, reader positions) {
	ctx := s.ctx()
	empty := s.indexedMapWatch(s.open(), reader)
	first, second := s.append(writer, "a", "1"), s.append(writer, "b", "1")
	empty.is("a watch of nothing tells what comes", positionText(first))
	empty.is("and on", positionText(second))
	watch := s.indexedMapWatch(s.open(), reader)
	watch.is("a watch begins with what is there", positionText(first))
	watch.is("in order of indexes", positionText(second))
	third := must[*position](s.checks, "update")(writer.Update(ctx, "a", "2"))
	watch.is("a watch tells a change", positionText(third))
	must[*position](s.checks, "remove")(writer.Remove(ctx, "a"))
	watch.is("a watch shows a removed entry as it was", positionText(third))
	s.need("clear", writer.Clear(ctx))
	watch.is("a watch shows a cleared entry as it was", positionText(second))
	watch.silent("and nothing else")
}

func indexedMapEnds(s *session, writer, reader positions) {
	cancelled, cancel := context.WithCancel(s.open())
	given := s.indexedMapEvents(cancelled, reader)
	closed := s.indexedMapEvents(s.open(), reader)
	watch := s.indexedMapWatch(s.open(), reader)
	other := s.indexedMapEvents(s.open(), writer)
	cancel()
	given.ends("events that are given up end")
	last := s.append(writer, "last", "1")
	watch.is("a watch tells an append", positionText(last))
	s.need("close", reader.Close(s.ctx()))
	closed.is("what was written before a close is told", "inserted "+positionText(last))
	closed.ends("events end with their map's close")
	watch.ends("a watch ends with its map's close")
	other.is("another connection's events go on", "inserted "+positionText(last))
}
