package main

import (
	"context"
	"fmt"

	electionv1 "github.com/atomix/atomix/api/runtime/election/v1"
	"github.com/atomix/go-sdk/pkg/client"
	"github.com/atomix/go-sdk/pkg/primitive/election"
)

func (s *session) candidate(connection *client.Client, name, candidate string) election.Election {
	builder := client.LeaderElection(connection)(name).CandidateID(candidate)
	return must[election.Election](s.checks, "create election "+name)(builder.Get(s.ctx()))
}

// termText is a term as `2 "c3" [c1 c2]`: its number, its leader, the queue.
func termText(term *election.Term) string {
	if term == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d %q %v", term.ID, term.Leader, term.Candidates)
}

func (s *session) terms(ctx context.Context, e election.Election) *follower[string] {
	terms, err := e.Watch(ctx)
	return told[*election.Term](s.checks, "watch an election", terms, err, termText)
}

// term checks what a call answers: s.term(sentence, want)(call()).
func (s *session) term(sentence, want string) func(*election.Term, error) {
	return func(term *election.Term, err error) { gives(s.checks, sentence, want)(termText(term), err) }
}

func elections(s *session) {
	electionTrace(s, s.name("election"))
	electionNothings(s, s.name("election-nothing"))
	electionLeaves(s, s.name("election-leave"))
	electionDemotes(s, s.name("election-demote"))
	electionUnnamed(s, s.name("election-unnamed"))
}

// electionTrace is the trace of the SDK's own test. Each step is watched once.
func electionTrace(s *session, name string) {
	ctx := s.ctx()
	first := s.candidate(s.client(), name, "c1")
	second := s.candidate(s.client(), name, "c2")
	third := s.candidate(s.client(), name, "c3")
	s.equal("an election has the name it was asked for by", first.Name(), name)
	s.equal("a candidate has the name it was asked for by", third.CandidateID(), "c3")
	terms := s.terms(s.open(), first)
	s.term("nobody leads at first", `0 "" []`)(first.GetTerm(ctx))
	step := func(sentence, want string) func(*election.Term, error) {
		return func(term *election.Term, err error) {
			s.term(sentence, want)(term, err)
			terms.is(sentence+", and is watched", want)
		}
	}
	step("the first who enters leads", `1 "c1" []`)(first.Enter(ctx))
	step("the next one waits", `1 "c1" [c2]`)(second.Enter(ctx))
	step("and the next behind it", `1 "c1" [c2 c3]`)(third.Enter(ctx))
	step("a promotion moves one place up", `1 "c1" [c3 c2]`)(third.Promote(ctx, "c3"))
	step("a promotion of the first in the queue leads", `2 "c3" [c1 c2]`)(third.Promote(ctx, "c3"))
	step("who is anointed leads, its predecessor is first in the queue", `3 "c2" [c3 c1]`)(second.Anoint(ctx, "c2"))
	step("when the leader leaves, the first in the queue leads", `4 "c3" [c1]`)(second.Leave(ctx))
	step("an evicted leader is gone", `5 "c1" []`)(third.Evict(ctx, "c3"))
	step("who has left enters again", `5 "c1" [c2]`)(second.Enter(ctx))
	step("anyone may anoint", `6 "c2" [c1]`)(first.Anoint(ctx, "c2"))
	s.succeeds("the leader's election is closed", second.Close(ctx))
	terms.is("its candidate leaves", `7 "c1" []`)
	s.term("everybody reads it", `7 "c1" []`)(third.GetTerm(ctx))
	terms.silent("and nothing else is watched")
	s.need("close", first.Close(ctx))
	s.need("close", third.Close(ctx))
	terms.ends("a watch ends with its election's close")
	again := s.candidate(s.client(), name, "c1")
	s.term("the term outlives everybody", `7 "" []`)(again.GetTerm(ctx))
	late := s.terms(s.open(), again)
	late.is("a watch begins with the term that is there", `7 "" []`)
	s.term("and goes on", `8 "c1" []`)(again.Enter(ctx))
	late.is("and is watched", `8 "c1" []`)
}

// electionNothings: what changes nothing is not watched.
func electionNothings(s *session, name string) {
	ctx := s.ctx()
	first := s.candidate(s.client(), name, "c1")
	second := s.candidate(s.client(), name, "c2")
	for call, answer := range map[string]func(context.Context, string) (*election.Term, error){
		"anointed": first.Anoint, "promoted": first.Promote, "evicted": first.Evict,
	} {
		s.term("where nobody is, nobody is "+call, `0 "" []`)(answer(ctx, "c1"))
	}
	s.term("where nobody is, nobody leaves", `0 "" []`)(first.Leave(ctx))
	s.term("enter", `1 "c1" []`)(first.Enter(ctx))
	s.term("enter", `1 "c1" [c2]`)(second.Enter(ctx))
	terms := s.terms(s.open(), second)
	terms.is("a watch begins with the term that is there", `1 "c1" [c2]`)
	s.term("a leader that enters again stays", `1 "c1" [c2]`)(first.Enter(ctx))
	s.term("one in the queue that enters again stays", `1 "c1" [c2]`)(second.Enter(ctx))
	s.term("a leader is not anointed", `1 "c1" [c2]`)(second.Anoint(ctx, "c1"))
	s.term("a leader is not promoted", `1 "c1" [c2]`)(second.Promote(ctx, "c1"))
	s.term("an unknown one is not anointed", `1 "c1" [c2]`)(second.Anoint(ctx, "x"))
	s.term("an unknown one is not promoted", `1 "c1" [c2]`)(second.Promote(ctx, "x"))
	s.term("an unknown one is not evicted", `1 "c1" [c2]`)(second.Evict(ctx, "x"))
	s.term("one in the queue is evicted", `1 "c1" []`)(first.Evict(ctx, "c2"))
	terms.is("of all these, only the last is watched", `1 "c1" []`)
}

func electionLeaves(s *session, name string) {
	ctx := s.ctx()
	first := s.candidate(s.client(), name, "c1")
	second := s.candidate(s.client(), name, "c2")
	third := s.candidate(s.client(), name, "c3")
	s.term("enter", `1 "c1" []`)(first.Enter(ctx))
	s.term("enter", `1 "c1" [c2]`)(second.Enter(ctx))
	s.term("enter", `1 "c1" [c2 c3]`)(third.Enter(ctx))
	terms := s.terms(s.open(), third)
	terms.is("a watch begins with the term that is there", `1 "c1" [c2 c3]`)
	s.term("one in the queue leaves, the leader stays", `1 "c1" [c3]`)(second.Leave(ctx))
	terms.is("which is watched", `1 "c1" [c3]`)
	s.need("close", third.Close(ctx))
	terms.ends("a watch ends with its election's close")
	s.term("one in the queue leaves with its session", `1 "c1" []`)(first.GetTerm(ctx))
	terms = s.terms(s.open(), second)
	terms.is("a watch begins with the term that is there", `1 "c1" []`)
	s.term("when the last one leaves, nobody leads and the term stays", `1 "" []`)(first.Leave(ctx))
	terms.is("which is watched", `1 "" []`)
	s.term("the next one leads in a new term", `2 "c2" []`)(second.Enter(ctx))
	terms.is("which is watched", `2 "c2" []`)
}

// electionDemotes uses the stub: the SDK has no method for it.
func electionDemotes(s *session, name string) {
	ctx := s.ctx()
	for index := 1; index <= 4; index++ {
		_, err := s.candidate(s.client(), name, fmt.Sprint("c", index)).Enter(ctx)
		s.need("enter", err)
	}
	stub := electionv1.NewLeaderElectionClient(s.stubs(s.client()))
	demote := func(sentence, candidate, want string) {
		response, err := stub.Demote(ctx, &electionv1.DemoteRequest{ID: id(name), Candidate: candidate})
		s.need("demote", err)
		term := response.Term
		s.equal(sentence, fmt.Sprintf("%d %q %v", term.Term, term.Leader, term.Candidates), want)
	}
	demote("a demotion moves one place down", "c2", `1 "c1" [c3 c2 c4]`)
	demote("the last one stays", "c4", `1 "c1" [c3 c2 c4]`)
	demote("an unknown one is not demoted", "x", `1 "c1" [c3 c2 c4]`)
	demote("a demoted leader changes places with the first in the queue", "c1", `2 "c3" [c1 c2 c4]`)
}

// electionUnnamed: a candidate that was given no name has the empty one, and so have all of them.
func electionUnnamed(s *session, name string) {
	ctx := s.ctx()
	unnamed, err := client.LeaderElection(s.client())(name).Tag("a").Get(ctx)
	s.need("create an election with tags", err)
	s.equal("a candidate without a name has the empty one", unnamed.CandidateID(), "")
	s.term("it leads", `1 "" []`)(unnamed.Enter(ctx))
	named := s.candidate(s.client(), name, "c1")
	s.term("others wait behind it", `1 "" [c1]`)(named.Enter(ctx))
	s.term("it leaves", `2 "c1" []`)(unnamed.Leave(ctx))
}
