package main

import (
	"fmt"
	"time"

	topicv1 "github.com/atomix/atomix/api/runtime/topic/v1"
)

// topics uses the generated stub: the SDK has no topic.
func topics(s *session) {
	name := s.name("topic")
	ctx := s.ctx()
	conn := s.stubs(s.client())
	_, err := topicv1.NewTopicsClient(conn).Create(ctx, &topicv1.CreateRequest{ID: id(name), Tags: []string{"a"}})
	s.need("create a topic", err)
	topic, other := topicv1.NewTopicClient(conn), topicv1.NewTopicClient(s.stubs(s.client()))
	publish := func(payload string) error {
		_, err := topic.Publish(ctx, &topicv1.PublishRequest{ID: id(name), Payload: []byte(payload)})
		return err
	}
	s.succeeds("a message is published to nobody", publish("before"))
	ours, theirs := s.subscribed(topic, name), s.subscribed(other, name)
	// Nothing says when a subscription has begun: messages are sent until each has heard one.
	first := heardBoth(s, publish, ours, theirs)
	s.holds("what was published before is not told", first != "before", first, "a later one")

	s.succeeds("a message is published", publish("one"))
	s.succeeds("an empty one is", publish(""))
	began := time.Now()
	var last uint64
	for _, payload := range []string{"one", ""} {
		mine := afterProbes(ours)
		s.equal("messages come in order", string(mine.Payload), payload)
		theirs := afterProbes(theirs)
		s.equal("to everybody", string(theirs.Payload), payload)
		s.equal("with the same offset", theirs.Offset, mine.Offset)
		s.holds("offsets grow", mine.Offset > last, mine.Offset, fmt.Sprint("more than ", last))
		last = mine.Offset
		near := mine.Timestamp != nil && began.Sub(*mine.Timestamp) < time.Minute && mine.Timestamp.Sub(began) < time.Minute
		s.holds("messages have the time", near, mine.Timestamp, "now")
	}
	_, err = topic.Close(ctx, &topicv1.CloseRequest{ID: id(name)})
	s.succeeds("a topic is closed", err)
	ours.ends("subscriptions end with their topic's close")
	_, err = other.Publish(ctx, &topicv1.PublishRequest{ID: id(name), Payload: []byte("later")})
	s.succeeds("others publish on", err)
	later := theirs.next("receive a message")
	s.equal("and hear on", string(later.Payload), "later")
}

const probe = "probe"

func (s *session) subscribed(topic topicv1.TopicClient, name string) *follower[*topicv1.SubscribeResponse] {
	stream, err := topic.Subscribe(s.open(), &topicv1.SubscribeRequest{ID: id(name)})
	s.need("subscribe", err)
	return follow(s.checks, stream.Recv)
}

// heardBoth publishes probes until both subscriptions are there, and answers with the first message of the first one.
func heardBoth(s *session, publish func(string) error, ours, theirs *follower[*topicv1.SubscribeResponse]) string {
	heard := map[*follower[*topicv1.SubscribeResponse]]string{}
	for end := time.Now().Add(deadline); len(heard) < 2 && time.Now().Before(end); {
		s.need("publish", publish(probe))
		for _, subscription := range []*follower[*topicv1.SubscribeResponse]{ours, theirs} {
			if message, err := subscription.within(100 * time.Millisecond); err == nil && heard[subscription] == "" {
				heard[subscription] = string(message.Payload)
			}
		}
	}
	s.equal("every subscription hears", len(heard), 2)
	return heard[ours]
}

// afterProbes is the next message that is no probe.
func afterProbes(subscription *follower[*topicv1.SubscribeResponse]) *topicv1.SubscribeResponse {
	for {
		message := subscription.next("receive a message")
		if string(message.Payload) != probe {
			return message
		}
	}
}
