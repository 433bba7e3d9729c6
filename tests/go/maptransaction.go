package main

import (
	"time"

	"github.com/atomix/atomix/api/errors"
	mapv1 "github.com/atomix/atomix/api/runtime/map/v1"
	_map "github.com/atomix/go-sdk/pkg/primitive/map"
)

func mapTransactions(s *session) {
	name := s.name("map")
	ours, theirs := s.texts(s.client(), name), s.texts(s.client(), name)
	transactionTaken(s, ours, theirs)
	transactionRefused(s, ours, theirs)
	transactionTTLs(s, ours)
	transactionStub(s, name)
}

func transactionTaken(s *session, ours, theirs texts) {
	ctx := s.ctx()
	put, updated, removed := s.put(ours, "put", "1"), s.put(ours, "update", "1"), s.put(ours, "remove", "1")
	events := s.mapEvents(s.open(), theirs)
	transaction := ours.Transaction(ctx).
		Put("put", "2", _map.IfVersion(put.Version)).
		Insert("insert", "2").
		Update("update", "2", _map.IfVersion(updated.Version)).
		Remove("remove", _map.IfVersion(removed.Version)).
		Put("new", "2")
	results, err := transaction.Commit()
	s.need("commit", err)
	s.equal("a commit has a result for each operation", len(results), 5)
	version := results[0].Version
	s.holds("a commit has a version", version > removed.Version, version, "a later one")
	written := func(key string) *pair {
		entry := pair{Key: key}
		entry.Value, entry.Version = "2", version
		return &entry
	}
	wanted := []*pair{written("put"), written("insert"), written("update"), removed, written("new")}
	for index, want := range wanted {
		s.equal("results are in order, writes share one version: "+want.Key, pairText(results[index]), pairText(want))
	}
	for _, key := range []string{"put", "insert", "update", "new"} {
		gives(s.checks, "what was committed is read: "+key, written(key))(theirs.Get(ctx, key))
	}
	refuses(s.checks, "what was removed is gone", errors.NotFound)(theirs.Get(ctx, "remove"))
	events.is("a put is told", "updated "+pairText(put)+" to "+pairText(written("put")))
	events.is("an insert is told", "inserted "+pairText(written("insert")))
	events.is("an update is told", "updated "+pairText(updated)+" to "+pairText(written("update")))
	events.is("a remove is told", "removed "+pairText(removed))
	events.is("a put of a new key is told", "inserted "+pairText(written("new")))
}

func transactionRefused(s *session, ours, theirs texts) {
	before := s.listed(theirs)
	ctx := s.ctx()
	begin := func() _map.Transaction[string, string] { return ours.Transaction(ctx).Put("first", "3") }
	refuses(s.checks, "an insert of a key that is there", errors.AlreadyExists)(begin().Insert("insert", "3").Commit())
	refuses(s.checks, "an update of an unknown key", errors.NotFound)(begin().Update("x", "3").Commit())
	refuses(s.checks, "an update at a stale version", errors.Conflict)(begin().Update("put", "3", _map.IfVersion(1)).Commit())
	refuses(s.checks, "a remove of an unknown key", errors.NotFound)(begin().Remove("x").Commit())
	refuses(s.checks, "a remove at a stale version", errors.Conflict)(begin().Remove("put", _map.IfVersion(1)).Commit())
	refuses(s.checks, "a put at a stale version", errors.Conflict)(begin().Put("put", "3", _map.IfVersion(1)).Commit())
	refuses(s.checks, "a put at a version of an unknown key", errors.Conflict)(begin().Put("x", "3", _map.IfVersion(1)).Commit())
	refuses(s.checks, "one key twice", errors.Conflict)(begin().Put("first", "4").Commit())
	refuses(s.checks, "the first that fails says why", errors.NotFound)(begin().Remove("x").Insert("put", "3").Commit())
	s.equal("a refused commit writes nothing", s.listed(theirs), before)
	results, err := ours.Transaction(ctx).Commit()
	s.holds("a transaction without operations is committed", err == nil && len(results) == 0, err, "no error")
}

func transactionTTLs(s *session, m texts) {
	ctx := s.ctx()
	s.put(m, "ttl-update", "1")
	begin := time.Now()
	_, err := m.Transaction(ctx).
		Put("ttl-put", "2", _map.WithTTL(lifetime)).
		Insert("ttl-insert", "2", _map.WithTTL(lifetime)).
		Update("ttl-update", "2", _map.WithTTL(lifetime)).
		Put("ttl-none", "2").
		Commit()
	s.need("commit with times to live", err)
	for _, key := range []string{"ttl-put", "ttl-insert", "ttl-update"} {
		s.expires("what was committed with a time to live expires: "+key, begin, func() error {
			_, err := m.Get(s.ctx(), key)
			return err
		})
	}
	_, err = m.Get(ctx, "ttl-none")
	s.succeeds("what was committed without one does not", err)
}

// transactionStub checks what the SDK does not pass on.
func transactionStub(s *session, name string) {
	m := mapv1.NewMapClient(s.stubs(s.client()))
	response, err := m.Commit(s.ctx(), &mapv1.CommitRequest{ID: id(name)})
	s.need("commit nothing", err)
	s.equal("a commit of nothing has no results", len(response.Results), 0)
	put := func(value string) mapv1.CommitRequest_Operation {
		put := &mapv1.CommitRequest_Put{Key: "stub", Value: []byte(value)}
		return mapv1.CommitRequest_Operation{Operation: &mapv1.CommitRequest_Operation_Put{Put: put}}
	}
	commit := func(operation mapv1.CommitRequest_Operation) *mapv1.CommitResponse_Result {
		request := &mapv1.CommitRequest{ID: id(name), Operations: []mapv1.CommitRequest_Operation{operation}}
		response, err := m.Commit(s.ctx(), request)
		s.need("commit", err)
		if len(response.Results) != 1 {
			s.equal("one operation has one result", len(response.Results), 1)
			panic(broken{})
		}
		return &response.Results[0]
	}
	first, second := commit(put("1")).GetPut(), commit(put("2")).GetPut()
	s.holds("a put's result is a put's", first != nil && second != nil, first, "a put's")
	s.holds("a put of a new key has no value before", first.GetPrevValue() == nil, first, "none")
	s.equal("a put's result has the value before", second.GetPrevValue(), &mapv1.VersionedValue{Value: []byte("1"), Version: first.GetVersion()})
	update := &mapv1.CommitRequest_Update{Key: "stub", Value: []byte("3")}
	third := commit(mapv1.CommitRequest_Operation{Operation: &mapv1.CommitRequest_Operation_Update{Update: update}}).GetUpdate()
	s.equal("an update's result has the value before", third.GetPrevValue(), mapv1.VersionedValue{Value: []byte("2"), Version: second.GetVersion()})
}
