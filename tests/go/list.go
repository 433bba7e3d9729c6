package main

import (
	"context"
	"fmt"

	"github.com/atomix/atomix/api/errors"
	listv1 "github.com/atomix/atomix/api/runtime/list/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/list"
	"github.com/atomix/go-sdk/pkg/types"
)

type items = list.List[string]

func (s *session) items(connection *client.Client, name string) items {
	builder := client.List[string](connection)(name).Codec(types.Scalar[string]())
	return must[items](s.checks, "create list "+name)(builder.Get(s.ctx()))
}

func listEventText(event list.Event[string]) string {
	switch event := event.(type) {
	case *list.Inserted[string]:
		return "inserted " + event.Value
	case *list.Updated[string]:
		return "updated " + event.PrevValue + " to " + event.Value
	case *list.Removed[string]:
		return "removed " + event.Value
	}
	return fmt.Sprintf("%T", event)
}

func (s *session) listEvents(ctx context.Context, l items) *follower[string] {
	events, err := l.Events(ctx)
	return told[list.Event[string]](s.checks, "listen to a list", events, err, listEventText)
}

func (s *session) listWatch(ctx context.Context, l items) *follower[string] {
	items, err := l.Watch(ctx)
	return followed[string](s.checks, "watch a list", items, err)
}

func (s *session) listedItems(l items) []string {
	stream, err := l.Items(s.ctx())
	found, err := all[string](stream, err)
	s.need("list", err)
	return found
}

func lists(s *session) {
	name := s.name("list")
	ours, theirs := s.items(s.client(), name), s.items(s.client(), name)
	s.equal("a list has the name it was asked for by", ours.Name(), name)
	listItems(s, ours, theirs)
	listRefuses(s, ours, theirs)
	listWhole(s, ours, theirs)
	listStreams(s, ours, theirs)
	listStub(s, s.name("list-stub"))
	listEnds(s, ours, theirs)

	again := s.items(s.client(), name)
	s.equal("a closed list keeps its items", s.listedItems(again), []string{"last"})
	tagged, err := client.List[string](s.client())(s.name("tagged")).Tag("a").Codec(types.Scalar[string]()).Get(s.ctx())
	s.need("create a list with tags", err)
	gives(s.checks, "a list with tags works", 0)(tagged.Len(s.ctx()))
}

func listItems(s *session, ours, theirs items) {
	ctx := s.ctx()
	gives(s.checks, "a new list is empty", 0)(ours.Len(ctx))
	s.equal("and lists nothing", s.listedItems(ours), []string{})
	s.succeeds("an item is appended", ours.Append(ctx, "b"))
	s.succeeds("an equal item is appended", theirs.Append(ctx, "b"))
	s.succeeds("an item is inserted at the beginning", ours.Insert(ctx, 0, "a"))
	s.succeeds("an item is inserted in the middle", theirs.Insert(ctx, 2, "c"))
	s.succeeds("an item is inserted at the end", ours.Insert(ctx, 4, "d"))
	s.equal("a list is in order", s.listedItems(theirs), []string{"a", "b", "c", "b", "d"})
	gives(s.checks, "a list knows its length", 5)(theirs.Len(ctx))
	for index, want := range []string{"a", "b", "c", "b", "d"} {
		gives(s.checks, fmt.Sprint("an item is found by its index ", index), want)(theirs.Get(ctx, index))
	}
	s.succeeds("an item is replaced", theirs.Set(ctx, 3, "x"))
	gives(s.checks, "what replaced it is read", "x")(ours.Get(ctx, 3))
	s.succeeds("an item is replaced by an equal one", ours.Set(ctx, 3, "x"))
	gives(s.checks, "a remove answers with the item", "b")(ours.Remove(ctx, 1))
	s.equal("later items move down", s.listedItems(theirs), []string{"a", "c", "x", "d"})
	gives(s.checks, "the last is removed", "d")(ours.Remove(ctx, 3))
	gives(s.checks, "the first is removed", "a")(ours.Remove(ctx, 0))
	s.equal("the rest is left", s.listedItems(theirs), []string{"c", "x"})
}

func listRefuses(s *session, ours, theirs items) {
	ctx := s.ctx()
	for _, index := range []int{2, 3, 1000, -1} {
		at := fmt.Sprint(" at ", index)
		refuses(s.checks, "there is no item"+at, errors.NotFound)(ours.Get(ctx, index))
		refuses(s.checks, "none is removed"+at, errors.NotFound)(ours.Remove(ctx, index))
		s.refused("none is replaced"+at, ours.Set(ctx, index, "y"), errors.NotFound)
		if index != 2 {
			s.refused("none is inserted"+at, ours.Insert(ctx, index, "y"), errors.NotFound)
		}
	}
	s.equal("what is refused changes nothing", s.listedItems(theirs), []string{"c", "x"})
}

func listWhole(s *session, ours, theirs items) {
	ctx := s.ctx()
	s.succeeds("a list is cleared", theirs.Clear(ctx))
	gives(s.checks, "nothing is left then", 0)(ours.Len(ctx))
	s.succeeds("an empty list is cleared", ours.Clear(ctx))
	refuses(s.checks, "a cleared item is not found", errors.NotFound)(ours.Get(ctx, 0))
	wanted := []string{}
	for index := 0; index < 300; index++ {
		item := fmt.Sprint("item ", index)
		s.need("append", ours.Append(ctx, item))
		wanted = append(wanted, item)
	}
	s.equal("a long list is in order", s.listedItems(theirs), wanted)
	s.need("clear", ours.Clear(ctx))
}

func listStreams(s *session, writer, reader items) {
	ctx := s.ctx()
	s.need("append", writer.Append(ctx, "before"))
	events, watch := s.listEvents(s.open(), reader), s.listWatch(s.open(), reader)
	watch.is("a watch begins with what is there", "before")
	s.need("append", writer.Append(ctx, "a"))
	events.is("an append is told as inserted, and nothing of before", "inserted a")
	watch.is("a watch tells an append", "a")
	s.need("insert", writer.Insert(ctx, 0, "b"))
	events.is("an insert is told", "inserted b")
	watch.is("a watch tells an insert", "b")
	s.need("set", writer.Set(ctx, 0, "c"))
	events.is("a set is told with the item before", "updated b to c")
	watch.is("a watch tells a set", "c")
	must[string](s.checks, "remove")(writer.Remove(ctx, 0))
	events.is("a remove is told", "removed c")
	watch.is("a watch shows a removed item as it was", "c")
	s.need("clear", writer.Clear(ctx))
	cleared := map[string]bool{}
	shown := map[string]bool{}
	for index := 0; index < 2; index++ {
		cleared[events.next("receive a clear's event")] = true
		shown[watch.next("receive a clear's item")] = true
	}
	s.equal("a clear is told once for each item", cleared, map[string]bool{"removed before": true, "removed a": true})
	s.equal("a watch shows every cleared item once", shown, map[string]bool{"before": true, "a": true})
	events.silent("and nothing else is told")
	watch.silent("and nothing else is shown")
}

// listStub checks indexes and replays, which the SDK does not pass on.
func listStub(s *session, name string) {
	ctx := s.ctx()
	l := s.items(s.client(), name)
	s.need("append", l.Append(ctx, "a"))
	s.need("append", l.Append(ctx, "b"))
	stub := listv1.NewListClient(s.stubs(s.client()))
	stream, err := stub.Events(s.open(), &listv1.EventsRequest{ID: id(name), Replay: true})
	s.need("listen to a list", err)
	events := follow(s.checks, func() (listv1.Event, error) {
		response, err := stream.Recv()
		return response.GetEvent(), err
	})
	opening := events.next("receive a first message")
	s.equal("events open with an empty message", opening.Event, nil)
	inserted := func(index uint32, value string) listv1.Event {
		inserted := &listv1.Event_Inserted{Value: listv1.Value{Value: []byte(value)}}
		return listv1.Event{Index: index, Event: &listv1.Event_Inserted_{Inserted: inserted}}
	}
	events.is("a replay begins with what is there", inserted(0, "a"))
	events.is("in order", inserted(1, "b"))
	s.need("append", l.Append(ctx, "c"))
	events.is("an append is told at the index it got", inserted(2, "c"))
	s.need("insert", l.Insert(ctx, 1, "d"))
	events.is("an insert is told at its index", inserted(1, "d"))

	items, err := stub.Items(s.open(), &listv1.ItemsRequest{ID: id(name)})
	s.need("list", err)
	listed := follow(s.checks, func() (listv1.Item, error) {
		response, err := items.Recv()
		return response.GetItem(), err
	})
	for index, value := range []string{"a", "d", "b", "c"} {
		item := listv1.Item{Index: uint32(index), Value: listv1.Value{Value: []byte(value)}}
		listed.is("items come with their indexes", item)
	}
	listed.ends("a list ends")
	set, err := stub.Set(ctx, &listv1.SetRequest{ID: id(name), Index: 1, Value: listv1.Value{Value: []byte("e")}})
	s.need("set", err)
	s.equal("a set answers with the item", set.Item, listv1.Item{Index: 1, Value: listv1.Value{Value: []byte("e")}})
	insert, err := stub.Insert(ctx, &listv1.InsertRequest{ID: id(name), Index: 4, Value: listv1.Value{Value: []byte("f")}})
	s.need("insert", err)
	s.equal("an insert answers with the item", insert.Item, listv1.Item{Index: 4, Value: listv1.Value{Value: []byte("f")}})
}

func listEnds(s *session, writer, reader items) {
	closed, watch := s.listEvents(s.open(), reader), s.listWatch(s.open(), reader)
	other := s.listEvents(s.open(), writer)
	s.need("append", writer.Append(s.ctx(), "last"))
	watch.is("a watch tells an append", "last")
	s.succeeds("a list is closed", reader.Close(s.ctx()))
	closed.is("what was appended before a close is told", "inserted last")
	closed.ends("events end with their list's close")
	watch.ends("a watch ends with its list's close")
	other.is("another connection's events go on", "inserted last")
}
