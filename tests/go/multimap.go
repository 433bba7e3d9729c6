package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/atomix/atomix/api/errors"
	multimapv1 "github.com/atomix/atomix/api/runtime/multimap/v1"
)

// multi is one multimap, through the generated stub: the SDK has none.
type multi struct {
	s    *session
	name string
	stub multimapv1.MultiMapClient
}

func multimaps(s *session) {
	name := s.name("multimap")
	conn := s.stubs(s.client())
	_, err := multimapv1.NewMultiMapsClient(conn).Create(s.ctx(), &multimapv1.CreateRequest{ID: id(name)})
	s.need("create a multimap", err)
	m := multi{s, name, multimapv1.NewMultiMapClient(conn)}
	events, one := m.events(""), m.events("b")
	multimapPairs(s, m)
	multimapMany(s, m)
	multimapTold(events, one)
	multimapWatched(s, m)
	closing := m.events("")
	_, err = m.stub.Close(s.ctx(), &multimapv1.CloseRequest{ID: id(name)})
	s.succeeds("a multimap is closed", err)
	closing.ends("events end with their multimap's close")
}

// multimapPairs leaves `a: 1`.
func multimapPairs(s *session, m multi) {
	ctx := s.ctx()
	contains := func(key, value string) (bool, error) {
		response, err := m.stub.Contains(ctx, &multimapv1.ContainsRequest{ID: id(m.name), Key: key, Value: value})
		return response.GetResult(), err
	}
	gives(s.checks, "a new multimap is empty", uint32(0))(m.size())
	gives(s.checks, "an unknown key has no values", "")(m.get("a"))
	gives(s.checks, "an unknown pair is not contained", false)(contains("a", "1"))
	s.succeeds("a pair is put", m.put("a", "1"))
	s.refused("a pair that is there is not", m.put("a", "1"), errors.AlreadyExists)
	s.succeeds("another value of the key is put", m.put("a", "2"))
	s.succeeds("the value of another key is put", m.put("b", "1"))
	gives(s.checks, "a key has its values", "1 2")(m.get("a"))
	gives(s.checks, "a pair that is there is contained", true)(contains("a", "2"))
	gives(s.checks, "another is not", false)(contains("b", "2"))
	gives(s.checks, "a multimap counts keys", uint32(2))(m.size())
	_, err := m.stub.Remove(ctx, &multimapv1.RemoveRequest{ID: id(m.name), Key: "a", Value: "2"})
	s.succeeds("a pair is removed", err)
	_, err = m.stub.Remove(ctx, &multimapv1.RemoveRequest{ID: id(m.name), Key: "a", Value: "2"})
	s.refused("a pair that is not there is not", err, errors.NotFound)
	_, err = m.stub.Remove(ctx, &multimapv1.RemoveRequest{ID: id(m.name), Key: "b", Value: "1"})
	s.succeeds("a key's last pair is removed", err)
	gives(s.checks, "a key without values is gone", uint32(1))(m.size())
	gives(s.checks, "others stay", "1")(m.get("a"))
}

// multimapMany leaves `a: 1 3`, `b: 1 2`.
func multimapMany(s *session, m multi) {
	ctx := s.ctx()
	putAll := func(key string, values ...string) (bool, error) {
		response, err := m.stub.PutAll(ctx, &multimapv1.PutAllRequest{ID: id(m.name), Key: key, Values: values})
		return response.GetUpdated(), err
	}
	gives(s.checks, "new values are put", true)(putAll("a", "1", "2", "3"))
	gives(s.checks, "values that are there change nothing", false)(putAll("a", "1", "3"))
	gives(s.checks, "a key has all its values", "1 2 3")(m.get("a"))
	removeAll := func(key string, values ...string) (bool, error) {
		response, err := m.stub.RemoveAll(ctx, &multimapv1.RemoveAllRequest{ID: id(m.name), Key: key, Values: values})
		return response.GetUpdated(), err
	}
	gives(s.checks, "values are removed", true)(removeAll("a", "2", "9"))
	gives(s.checks, "values that are not there change nothing", false)(removeAll("a", "2", "9"))
	gives(s.checks, "no values remove nothing", false)(removeAll("a"))
	refuses(s.checks, "values of an unknown key are not found", errors.NotFound)(removeAll("x", "1"))
	gives(s.checks, "others stay", "1 3")(m.get("a"))
	entries := []multimapv1.Entry{{Key: "a", Values: []string{"1"}}, {Key: "b", Values: []string{"4", "5"}}}
	put, err := m.stub.PutEntries(ctx, &multimapv1.PutEntriesRequest{ID: id(m.name), Entries: entries})
	gives(s.checks, "entries are put", true)(put.GetUpdated(), err)
	put, err = m.stub.PutEntries(ctx, &multimapv1.PutEntriesRequest{ID: id(m.name), Entries: entries})
	gives(s.checks, "entries that are there change nothing", false)(put.GetUpdated(), err)
	gives(s.checks, "entries are read", "4 5")(m.get("b"))
	replaced, err := m.stub.Replace(ctx, &multimapv1.ReplaceRequest{ID: id(m.name), Key: "b", Values: []string{"1", "2", "4"}})
	gives(s.checks, "a replacement answers with the values before", "4 5")(sorted(replaced.GetPrevValues()), err)
	gives(s.checks, "a key has its new values", "1 2 4")(m.get("b"))
	entries = []multimapv1.Entry{{Key: "b", Values: []string{"4"}}, {Key: "x", Values: []string{"1"}}}
	removed, err := m.stub.RemoveEntries(ctx, &multimapv1.RemoveEntriesRequest{ID: id(m.name), Entries: entries})
	gives(s.checks, "entries are removed", true)(removed.GetUpdated(), err)
	removed, err = m.stub.RemoveEntries(ctx, &multimapv1.RemoveEntriesRequest{ID: id(m.name), Entries: entries})
	gives(s.checks, "entries that are not there change nothing", false)(removed.GetUpdated(), err)
	gives(s.checks, "a multimap counts keys", uint32(2))(m.size())
}

// multimapTold checks the events of the two before. Those of one call come in any order.
func multimapTold(events, one *follower[string]) {
	steps := [][]string{
		{"added a 1"}, {"added a 2"}, {"added b 1"}, {"removed a 2"}, {"removed b 1"},
		{"added a 2", "added a 3"}, {"removed a 2"}, {"added b 4", "added b 5"},
		{"added b 1", "added b 2", "removed b 5"}, {"removed b 4"},
	}
	for _, step := range steps {
		multimapStep(events, "changes are told, and nothing else", step)
		if strings.Contains(step[0], " b ") {
			multimapStep(one, "events of one key are its own", step)
		}
	}
	events.silent("nothing else is told")
	one.silent("events of one key have no others")
}

func multimapStep(events *follower[string], sentence string, wanted []string) {
	told := []string{}
	for range wanted {
		told = append(told, events.next(sentence))
	}
	sort.Strings(told)
	events.checks.equal(sentence, told, wanted)
}

func multimapWatched(s *session, m multi) {
	ctx := s.ctx()
	entries, watch := m.entries(false), m.entries(true)
	for _, stream := range []*follower[string]{entries, watch} {
		found := []string{stream.next("receive an entry"), stream.next("receive an entry")}
		sort.Strings(found)
		s.equal("a list has each key once, with all its values", found, []string{"a: 1 3", "b: 1 2"})
	}
	entries.ends("a list ends")
	s.need("put", m.put("b", "3"))
	watch.is("a watch tells all values of a changed key", "b: 1 2 3")
	_, err := m.stub.RemoveAll(ctx, &multimapv1.RemoveAllRequest{ID: id(m.name), Key: "a", Values: []string{"1", "3"}})
	s.need("remove", err)
	watch.is("a watch tells no values of a key that is gone", "a: ")
	_, err = m.stub.Clear(ctx, &multimapv1.ClearRequest{ID: id(m.name)})
	s.succeeds("a multimap is cleared", err)
	watch.is("which a watch tells", "b: ")
	gives(s.checks, "nothing is left then", uint32(0))(m.size())
}

func (m multi) put(key, value string) error {
	_, err := m.stub.Put(m.s.ctx(), &multimapv1.PutRequest{ID: id(m.name), Key: key, Value: value})
	return err
}

func (m multi) size() (uint32, error) {
	response, err := m.stub.Size(m.s.ctx(), &multimapv1.SizeRequest{ID: id(m.name)})
	return response.GetSize_(), err
}

func (m multi) get(key string) (string, error) {
	response, err := m.stub.Get(m.s.ctx(), &multimapv1.GetRequest{ID: id(m.name), Key: key})
	return sorted(response.GetValues()), err
}

func (m multi) events(key string) *follower[string] {
	stream, err := m.stub.Events(m.s.open(), &multimapv1.EventsRequest{ID: id(m.name), Key: key})
	m.s.need("listen to a multimap", err)
	events := follow(m.s.checks, func() (string, error) {
		response, err := stream.Recv()
		if err != nil {
			return "", err
		}
		switch event := response.Event.Event.(type) {
		case *multimapv1.Event_Added_:
			return "added " + response.Event.Key + " " + event.Added.Value, nil
		case *multimapv1.Event_Removed_:
			return "removed " + response.Event.Key + " " + event.Removed.Value, nil
		}
		return "", nil
	})
	events.is("events open with an empty message", "")
	return events
}

func (m multi) entries(watch bool) *follower[string] {
	stream, err := m.stub.Entries(m.s.open(), &multimapv1.EntriesRequest{ID: id(m.name), Watch: watch})
	m.s.need("list a multimap", err)
	return follow(m.s.checks, func() (string, error) {
		response, err := stream.Recv()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s: %s", response.Entry.Key, sorted(response.Entry.Values)), nil
	})
}

func sorted(values []string) string {
	values = append([]string{}, values...)
	sort.Strings(values)
	return strings.Join(values, " ")
}
