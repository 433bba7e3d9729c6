package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"sort"
	"time"

	"github.com/atomix/atomix/api/errors"
	setv1 "github.com/atomix/atomix/api/runtime/set/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/set"
	"github.com/atomix/go-sdk/pkg/types"
)

type elements = set.Set[string]

func (s *session) elements(connection *client.Client, name string) elements {
	builder := client.Set[string](connection)(name).Codec(types.Scalar[string]())
	return must[elements](s.checks, "create set "+name)(builder.Get(s.ctx()))
}

func setEventText(event set.Event[string]) string {
	switch event := event.(type) {
	case *set.Added[string]:
		return "added " + event.Element
	case *set.Removed[string]:
		return "removed " + event.Element
	}
	return fmt.Sprintf("%T", event)
}

func (s *session) setEvents(ctx context.Context, e elements) *follower[string] {
	events, err := e.Events(ctx)
	return told[set.Event[string]](s.checks, "listen to a set", events, err, setEventText)
}

func (s *session) setWatch(ctx context.Context, e elements) *follower[string] {
	elements, err := e.Watch(ctx)
	return followed[string](s.checks, "watch a set", elements, err)
}

func sets(s *session) {
	name := s.name("set")
	ours, theirs := s.elements(s.client(), name), s.elements(s.client(), name)
	s.equal("a set has the name it was asked for by", ours.Name(), name)
	setElements(s, ours, theirs)
	setStreams(s, ours, theirs)
	setStub(s, s.name("set-stub"))
	setTTLs(s, s.name("set-ttl"))
	setEnds(s, ours, theirs)

	again := s.elements(s.client(), name)
	gives(s.checks, "a closed set keeps its elements", true)(again.Contains(s.ctx(), "last"))
	tagged, err := client.Set[string](s.client())(s.name("tagged")).Tag("a").Codec(types.Scalar[string]()).Get(s.ctx())
	s.need("create a set with tags", err)
	gives(s.checks, "a set with tags works", true)(tagged.Add(s.ctx(), "a"))
}

func setElements(s *session, ours, theirs elements) {
	ctx := s.ctx()
	gives(s.checks, "a new set is empty", 0)(ours.Len(ctx))
	gives(s.checks, "a new set contains nothing", false)(ours.Contains(ctx, "a"))
	gives(s.checks, "a new element is added", true)(ours.Add(ctx, "a"))
	gives(s.checks, "an element that is there is not", false)(theirs.Add(ctx, "a"))
	gives(s.checks, "an added element is contained", true)(theirs.Contains(ctx, "a"))
	gives(s.checks, "another is not", false)(theirs.Contains(ctx, "b"))
	gives(s.checks, "an element is there once", 1)(theirs.Len(ctx))
	gives(s.checks, "an element that is there is removed", true)(theirs.Remove(ctx, "a"))
	gives(s.checks, "one that is not is not", false)(ours.Remove(ctx, "a"))
	gives(s.checks, "a removed element is not contained", false)(ours.Contains(ctx, "a"))
	wanted := []string{"", "ключ", "\x00/"}
	for index := 0; index < 300; index++ {
		wanted = append(wanted, fmt.Sprintf("element-%03d", index))
	}
	for _, element := range wanted {
		if added, err := ours.Add(ctx, element); err != nil || !added {
			s.holds("an element is added", false, err, "added")
		}
	}
	sort.Strings(wanted)
	stream, err := theirs.Elements(ctx)
	found, err := all[string](stream, err)
	sort.Strings(found)
	gives(s.checks, "a list has every element once", wanted)(found, err)
	gives(s.checks, "a set knows how many it has", len(wanted))(theirs.Len(ctx))
	s.succeeds("a set is cleared", theirs.Clear(ctx))
	gives(s.checks, "nothing is left then", 0)(ours.Len(ctx))
	stream, err = theirs.Elements(ctx)
	found, err = all[string](stream, err)
	gives(s.checks, "a list of nothing is empty", []string{})(found, err)
	s.succeeds("an empty set is cleared", ours.Clear(ctx))
}

func setStreams(s *session, writer, reader elements) {
	ctx := s.ctx()
	add := func(element string) { must[bool](s.checks, "add")(writer.Add(ctx, element)) }
	add("before")
	events, watch := s.setEvents(s.open(), reader), s.setWatch(s.open(), reader)
	watch.is("a watch begins with what is there", "before")
	add("a")
	events.is("an added element is told, and nothing of before", "added a")
	watch.is("a watch tells an added element", "a")
	add("a")
	must[bool](s.checks, "remove")(writer.Remove(ctx, "x"))
	must[bool](s.checks, "remove")(writer.Remove(ctx, "a"))
	events.is("only what has changed is told", "removed a")
	watch.is("a watch shows a removed element", "a")
	add("b")
	events.is("an added element is told", "added b")
	watch.is("a watch tells it", "b")
	s.need("clear", writer.Clear(ctx))
	told := []string{events.next("receive a clear's first event"), events.next("receive a clear's second event")}
	shown := []string{watch.next("receive a clear's first element"), watch.next("receive a clear's second element")}
	sort.Strings(told)
	sort.Strings(shown)
	s.equal("a clear is told once for each element", told, []string{"removed b", "removed before"})
	s.equal("a watch shows every cleared element once", shown, []string{"b", "before"})
	events.silent("and nothing else is told")
	watch.silent("and nothing else is shown")
}

// setStub checks what the SDK makes of its answers.
func setStub(s *session, name string) {
	ctx := s.ctx()
	e := s.elements(s.client(), name)
	stub := setv1.NewSetClient(s.stubs(s.client()))
	// The SDK encodes elements.
	element := setv1.Element{Value: base64.StdEncoding.EncodeToString([]byte("a"))}
	added, err := stub.Add(ctx, &setv1.AddRequest{ID: id(name), Element: element})
	s.need("add", err)
	s.equal("an answer says that an element was added", added.Added, true)
	_, err = stub.Add(ctx, &setv1.AddRequest{ID: id(name), Element: element})
	s.refused("an element that is there exists already", err, errors.AlreadyExists)
	gives(s.checks, "the SDK finds what the stub added", true)(e.Contains(ctx, "a"))
	removed, err := stub.Remove(ctx, &setv1.RemoveRequest{ID: id(name), Element: element})
	s.need("remove", err)
	s.equal("an answer says that an element was removed", removed.Removed, true)
	_, err = stub.Remove(ctx, &setv1.RemoveRequest{ID: id(name), Element: element})
	s.refused("an element that is not there is not found", err, errors.NotFound)
}

// setTTLs uses the stub: the SDK has the option and no method that takes it, and does not pass on that an element expired.
func setTTLs(s *session, name string) {
	ctx := s.ctx()
	e := s.elements(s.client(), name)
	conn := s.stubs(s.client())
	stub := setv1.NewSetClient(conn)
	stream, err := stub.Events(s.open(), &setv1.EventsRequest{ID: id(name)})
	s.need("listen to a set", err)
	events := follow(s.checks, func() (setv1.Event, error) {
		response, err := stream.Recv()
		return response.GetEvent(), err
	})
	opening := events.next("receive a first message")
	s.equal("events open with an empty message", opening.Event, nil)
	ttl := lifetime
	begin := time.Now()
	element := setv1.Element{Value: base64.StdEncoding.EncodeToString([]byte("a"))}
	_, err = stub.Add(ctx, &setv1.AddRequest{ID: id(name), Element: element, TTL: &ttl})
	s.need("add with a time to live", err)
	s.expires("what was added with a time to live expires", begin, func() error {
		contained, err := e.Contains(s.ctx(), "a")
		if err == nil && !contained {
			return errors.NewNotFound("a")
		}
		return err
	})
	events.next("receive the added element")
	last := events.next("receive the expired element")
	removed := last.GetRemoved()
	s.holds("its end is told as such", removed != nil && removed.Expired && removed.Element == element, last, "removed, expired")
	gives(s.checks, "an expired element is added again", true)(e.Add(ctx, "a"))
}

func setEnds(s *session, writer, reader elements) {
	closed, watch := s.setEvents(s.open(), reader), s.setWatch(s.open(), reader)
	other := s.setEvents(s.open(), writer)
	must[bool](s.checks, "add")(writer.Add(s.ctx(), "last"))
	watch.is("a watch tells an added element", "last")
	s.succeeds("a set is closed", reader.Close(s.ctx()))
	closed.is("what was added before a close is told", "added last")
	closed.ends("events end with their set's close")
	watch.ends("a watch ends with its set's close")
	other.is("another connection's events go on", "added last")
}
