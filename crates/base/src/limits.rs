//! Every limit, by name, with its unit. What an operator can change is in the configuration; these are its defaults and
//! the hard ceilings behind it.

use std::time::Duration;

/// Largest message a gRPC listener takes, bytes. The reference's value, which its clients know.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Concurrent calls on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 1_000;
/// Header list of one request, bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
/// Open connections of one listener.
pub const CONNECTIONS_MAX: usize = 12_000;
/// Longest a unary call may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(60);
/// How long a drain waits for calls in flight.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Silence after which a connection is asked for a sign of life, and how long it has for it.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for clients of primitives: with [`SESSION_GRACE`], what a vanished one holds is free within 25 s.
pub const SESSION_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);
pub const SESSION_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection holds back for its next turn at most (`cork`).
pub const CORK_BYTES_MAX: usize = 64 << 10;
/// A larger write is not held back: copying it would cost more than the system call.
pub const CORK_WRITE_BYTES_MAX: usize = 8 << 10;

/// Time a new connection has for its first bytes; silence until then is cut.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Streams that a client has opened and reset before we looked at them, per connection; more is an attack (CVE-2023-44487).
pub const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset because of a client's errors, per connection.
pub const LOCAL_RESETS_MAX: usize = 1_024;
/// Connections that wait in the kernel to be accepted, per listener.
pub const BACKLOG_CONNECTIONS: i32 = 1_024;
/// Accepted connections that wait for the runtime they were dealt to, per listener and runtime.
pub const DEALT_CONNECTIONS_MAX: usize = 256;
/// Descriptors kept free of clients' connections: for storage, administration and calls to the application.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Pause of an accept loop when the machine has no descriptor or memory for another connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused connections that are told why before they are closed, at once; more are closed without a word.
pub const REFUSALS_MAX: usize = 64;
/// How long a refused client has to read why.
pub const REFUSAL_DEADLINE: Duration = Duration::from_secs(1);
/// Silence after which a drain ends a stream: what waits for news has none coming, a transfer in progress goes on.
pub const DRAIN_STREAM_SILENCE: Duration = Duration::from_millis(500);
/// How long one part of the process may take to stop.
pub const STOP_HOOK_DEADLINE: Duration = Duration::from_secs(10);
/// Threads for blocking work, per runtime.
pub const BLOCKING_THREADS_MAX: usize = 16;
/// Open connections of one administrative listener.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Longest an administrative request may take, and its head to arrive.
pub const ADMIN_DEADLINE: Duration = Duration::from_secs(30);
/// Body of an administrative request, bytes.
pub const ADMIN_BODY_BYTES_MAX: usize = 1 << 20;
/// Longest `traceparent` and `tracestate` that travel on, bytes.
pub const TRACE_PARENT_BYTES_MAX: usize = 256;
pub const TRACE_STATE_BYTES_MAX: usize = 512;
/// Finished spans that wait for their export; more are dropped.
pub const TRACE_SPANS_MAX: usize = 4_096;
/// Longest one export of spans may take.
pub const TRACE_EXPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Longest key of the engine, bytes.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// Largest value of the engine, bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// Writes and conditions in one batch.
pub const BATCH_WRITES_MAX: usize = 16_384;
/// Keys and values of one batch, bytes.
pub const BATCH_BYTES_MAX: usize = 128 << 20;
/// Batches that wait for the committer.
pub const COMMIT_QUEUE_BATCHES_MAX: usize = 65_536;
/// Bytes that wait for the committer.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 256 << 20;
/// One group of batches under one sync: operations and bytes.
pub const COMMIT_GROUP_WRITES_MAX: usize = 4_096;
pub const COMMIT_GROUP_BYTES_MAX: usize = 4 << 20;
/// Rows of one page of a scan.
pub const SCAN_ROWS_MAX: usize = 1_000;
/// Values of one page of a scan, bytes, unless the scan says otherwise. One row may be larger.
pub const SCAN_BYTES_MAX: usize = 8 << 20;
/// Expired rows removed in one step.
pub const SWEEP_ROWS_MAX: usize = 1_000;

/// Keys in one bulk call.
pub const BULK_KEYS_MAX: usize = 10_000;
/// How often a read and the commit that rests on it are tried when others change the row in between.
pub const CONTENDED_TRIES_MAX: usize = 16;
/// Lock and ownership leases.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 60 * 60 * 366 * 68);
/// Most that a lease may last longer than asked for, so that a slow commit does not make it end early.
pub const LEASE_SLACK_MAX: Duration = Duration::from_secs(1);
/// How often a lease is written when each commit takes too long for it.
pub const LEASE_TRIES_MAX: usize = 3;
/// Leases on partitions.
pub const OWNERSHIP_LEASE_MIN: Duration = Duration::from_secs(1);
pub const OWNERSHIP_LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// Name of a partition's owner, bytes.
pub const OWNER_BYTES_MAX: usize = 128;
/// Ids in one range of a sequencer.
pub const SEQUENCE_COUNT_MAX: u64 = 1_000_000;
/// Ids a WEAK sequence fetches at once.
pub const SEQUENCE_SEGMENT: u64 = 10_000;
/// Keys whose WEAK segments are held in memory; the ones used longest ago give way.
pub const SEQUENCE_SEGMENTS_MAX: usize = 100_000;
/// Ids left of a WEAK segment when the next one is fetched ahead.
pub const SEQUENCE_IDS_LEFT: u64 = 1_000;
/// Fetches in a row before a pause, and that pause.
pub const SEQUENCE_FETCHES_MAX: usize = 5;
pub const SEQUENCE_FETCH_PAUSE: Duration = Duration::from_secs(2);
/// Longest a WEAK id waits for the segment behind the one that is used up.
pub const SEQUENCE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Longest time to live of a key: what every store's clock can add to now.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60 * 366 * 1_000);
/// Watches of one configuration stream.
pub const WATCHES_PER_STREAM_MAX: usize = 1_000;

/// Configuration items in one answer.
pub const CONFIG_ITEMS_MAX: usize = 10_000;
/// How far a configuration watch may fall behind: changes, and their age. Older ones are trimmed.
pub const CONFIG_LOG_ROWS_MAX: u64 = 10_000;
pub const CONFIG_LOG_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Changes that a configuration watch holds in memory, and that one step of trimming removes.
pub const CONFIG_LOG_PAGE_ROWS: usize = 64;

/// Consumers that share the events of one group.
pub const CONSUMERS_PER_GROUP_MAX: usize = 64;
/// Events that are with one consumer at once.
pub const EVENTS_IN_FLIGHT: usize = 64;
/// Events that a consumer group holds in memory for each of its consumers (with one of them, or waiting behind their ordering
/// key).
pub const EVENTS_IN_MEMORY_MAX: usize = 1_024;
/// The same in bytes.
pub const EVENTS_IN_MEMORY_BYTES_MAX: usize = 8 << 20;
/// Events of one consumer group that wait for their next attempt.
pub const EVENTS_PARKED_MAX: usize = 10_000;
/// First and longest pause before a refused event is delivered again.
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often a waiting consumer group looks again whether an event is due, by the store's own clock.
pub const RETRY_RECHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pauses before a failed read or write of a topic's rows is tried again.
pub const TOPIC_FAULT_PAUSE_MIN: Duration = Duration::from_millis(50);
pub const TOPIC_FAULT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often settled and aged events are removed, per component.
pub const TOPIC_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often an active consumer group notes that it is still there.
pub const GROUP_SEEN_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A consumer group that nobody reads with is forgotten after the topic's retention, but no sooner than this, after a
/// start as well.
pub const GROUP_IDLE_MIN: Duration = Duration::from_secs(60 * 60);
/// Longest the application may take to answer one event.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(60);
/// Connections to the application's callback: the first is kept, the others come and go with the load.
pub const APP_CONNECTIONS_MAX: usize = 4;
/// Calls on one of them before another is opened, if there may be one more; then they queue. Fewer connections cost less:
/// what is ready together is written together. Many servers take a hundred calls at once.
pub const APP_CALLS_PER_CONNECTION: usize = 100;
/// How often connections to the application are looked at that have nothing to do.
pub const APP_IDLE_INTERVAL: Duration = Duration::from_secs(30);
/// Longest the application may take to accept a connection, and to list its topics.
pub const APP_CONNECT_DEADLINE: Duration = Duration::from_secs(5);
pub const APP_LIST_DEADLINE: Duration = Duration::from_secs(10);
/// Pauses between attempts to reach the application, and to subscribe.
pub const APP_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const APP_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Topics that an application may list.
pub const APP_SUBSCRIPTIONS_MAX: usize = 10_000;
/// How long, and how large, a topic grows unless its component says otherwise.
pub const TOPIC_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub const TOPIC_BYTES_MAX: u64 = 1 << 30;

/// One message of a file stream, bytes; what the reference sends.
pub const FILE_CHUNK_BYTES: usize = 100 << 10;
/// One read or write of a file on its disk, bytes: large, so that a stream costs few hops to another thread. A stream holds
/// two of them.
pub const FILE_BLOCK_BYTES: usize = 10 * FILE_CHUNK_BYTES;
/// Received pieces that one write of a file takes.
pub const FILE_WRITE_PIECES_MAX: usize = 1_024;
/// Entries in one page of a file listing.
pub const FILE_LIST_MAX: usize = 10_000;
/// What is still read of an upload that was refused early, so that its sender comes to read the reason.
pub const UPLOAD_DRAIN_BYTES_MAX: usize = 16 << 20;
pub const UPLOAD_DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Body that an HTTP binding or an invoked service may answer with, bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 64 << 20;
/// Longest an HTTP binding waits for its answer, unless its settings say otherwise.
pub const BINDING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest `InvokeService` waits, unless the caller says otherwise.
pub const INVOKE_TIMEOUT: Duration = Duration::from_secs(3);
/// What an invoker may take beyond that to say what ran out of time.
pub const INVOKE_GRACE: Duration = Duration::from_millis(250);
/// Connections kept to one application or service.
pub const OUTBOUND_CONNECTIONS_MAX: usize = 64;
/// The most that a component's settings may ask for.
pub const OUTBOUND_CONNECTIONS_CEILING: usize = 1_024;
/// Calls on one of these connections, where they can share one.
pub const OUTBOUND_STREAMS_PER_CONNECTION: usize = 100;
/// How long a connection may lie idle: less than the 5 s after which common servers close theirs, so that a request seldom
/// meets a connection that is just being closed.
pub const OUTBOUND_IDLE: Duration = Duration::from_secs(4);
/// Longest that connecting may take where calls share a connection; elsewhere it is part of the call's own time.
pub const OUTBOUND_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Failed attempts to connect in a row after which there are pauses, and the longest pause.
pub const OUTBOUND_CONNECT_FAILURES: u32 = 3;
pub const OUTBOUND_CONNECT_PAUSE_MAX: Duration = Duration::from_millis(100);
/// Longest that any outward call may be told to take.
pub const OUTBOUND_DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What an error message quotes of a failed answer's body, bytes: it travels percent-encoded in a trailer.
pub const ERROR_BODY_BYTES_MAX: usize = 1 << 10;
/// Redirects that an HTTP binding follows.
pub const REDIRECTS_MAX: usize = 10;
/// Attempts after the first one that an HTTP binding may be told to make.
pub const BINDING_RETRIES_MAX: u32 = 10;
/// Largest file that a binding gives, bytes.
pub const BINDING_FILE_BYTES_MAX: usize = 64 << 20;
/// Largest file of secrets, bytes.
pub const SECRETS_FILE_BYTES_MAX: usize = 16 << 20;

/// Partitions of a new store: as many as there are threads for I/O, within these.
pub const PARTITIONS_MIN: u16 = 2;
pub const PARTITIONS_MAX: u16 = 64;
/// Rows that a partition keeps in memory, bytes.
pub const PARTITION_CACHE_BYTES: usize = 8 << 20;
/// Commands that wait for one partition, and their bytes.
pub const INBOX_COMMANDS_MAX: usize = 65_536;
pub const INBOX_BYTES_MAX: usize = 64 << 20;
/// Commands, timers, changed rows and bytes of one batch of a partition. A step that begins below them may go beyond.
pub const PARTITION_BATCH_COMMANDS: usize = 1_024;
pub const PARTITION_BATCH_TIMERS: usize = 64;
pub const PARTITION_BATCH_CHANGES: usize = 4_096;
pub const PARTITION_BATCH_BYTES: usize = 16 << 20;
/// How long steps of a partition that nobody hears of wait with their changes for the next step on the same rows; how many rows
/// each of them may change; rows and bytes of all of them, which have to fit into one batch beside others. What comes on top is
/// stored at once.
pub const STEP_HELD: Duration = Duration::from_millis(50);
pub const STEP_HELD_CHANGES_MAX: usize = 16;
pub const STEPS_HELD_ROWS_MAX: usize = 2_048;
pub const STEPS_HELD_BYTES_MAX: usize = 4 << 20;
/// How often one step may ask for rows that are not in memory.
pub const STEP_LOADS_MAX: usize = 8;
/// Rows that one step may change.
pub const STEP_CHANGES_MAX: usize = 8_192;
/// Timers of one partition that are held in memory: the nearest ones.
pub const TIMERS_IN_MEMORY_MAX: usize = 5_000;
/// How long a partition sleeps at most before it looks at the store's clock again.
pub const TIMER_SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a partition whose batch was refused carries out one step at a time, so that a step that cannot be stored takes no
/// other one along.
pub const PARTITION_CAREFUL: Duration = Duration::from_secs(1);
/// Letters from one partition to another that are on their way at once; others wait in the store.
pub const LETTERS_IN_FLIGHT_MAX: u64 = 1_024;
/// When letters whose receipt does not come are sent again.
pub const LETTERS_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Machines that are watched at once, per partition.
pub const WATCHED_MACHINES_MAX: usize = 100_000;
/// How far a watcher may fall behind: events, and their bytes.
pub const WATCH_EVENTS_MAX: usize = 1_024;
pub const WATCH_BYTES_MAX: usize = 16 << 20;
/// What an event is counted with beyond the rows that its step changed, bytes.
pub const EVENT_OVERHEAD_BYTES: usize = 128;
/// How long what a lost connection holds stays taken; the same after a restart of Belay, when every connection is lost.
pub const SESSION_GRACE: Duration = Duration::from_secs(15);
pub const SESSION_RESTART_GRACE: Duration = Duration::from_secs(75);
/// Stores that a controller may connect.
pub const STORES_MAX: usize = 256;
/// Pauses before a store that could not be opened is tried again.
pub const STORE_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const STORE_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Names of primitives that are held in memory.
pub const PRIMITIVES_KNOWN_MAX: usize = 100_000;
/// A primitive's name, and an entry's key, bytes.
pub const PRIMITIVE_NAME_BYTES_MAX: usize = 1 << 10;
pub const ENTRY_KEY_BYTES_MAX: usize = 4 << 10;
/// Items of one list, and the chunks they are in; see the head of `list/chunks.rs` for what fits.
pub const LIST_ITEMS_MAX: u32 = 1_000_000;
pub const LIST_CHUNKS_MAX: usize = 8_000;
/// One chunk of a list, bytes; every change of the list writes one or two.
pub const LIST_CHUNK_BYTES: u64 = 32 << 10;
/// Items of a list that are read at once, bytes. One chunk may be larger.
pub const LIST_PAGE_BYTES: u64 = 1 << 20;
/// The largest list whose clearing is told to watchers item by item, bytes. Those of a larger one begin anew.
pub const LIST_CLEAR_TOLD_BYTES: u64 = 4 << 20;
/// Callers that wait for one lock.
pub const LOCK_WAITERS_MAX: usize = 1_024;
/// Keys of one map that are locked or waited for, with those who do: bytes.
pub const MAP_LOCKS_BYTES_MAX: usize = 256 << 10;
/// Candidates that wait in one election.
pub const ELECTION_CANDIDATES_MAX: usize = 1_024;
/// How often the end of a session is told to a store that refuses, pauses between, and how many ends at once.
pub const SESSION_END_ATTEMPTS_MAX: usize = 100;
pub const SESSION_END_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const SESSION_END_PAUSE_MAX: Duration = Duration::from_secs(10);
pub const SESSION_ENDS_IN_FLIGHT_MAX: usize = 64;
/// How long rows of a cleared collection stay, so that those who watch it can be told of each; how many are removed in one
/// step then, and the pause between two steps.
pub const COLLECTION_SWEEP_PAUSE: Duration = Duration::from_secs(60);
pub const COLLECTION_SWEEP_ROWS: usize = 500;
pub const COLLECTION_SWEEP_STEP_PAUSE: Duration = Duration::from_millis(50);
/// Entries that a listing reads at once, and how long it stands on one snapshot before it goes on with a new one.
pub const LISTING_ROWS: usize = 256;
pub const LISTING_SNAPSHOT_MAX: Duration = Duration::from_secs(10);
/// All values of one key of a multimap, bytes: they are one row.
pub const MULTIMAP_VALUES_BYTES_MAX: usize = 1 << 20;
/// Topics, and consumer groups, that one component shows among the metrics, and the longest name that is shown, bytes: names
/// come from clients.
pub const TOPICS_SHOWN_MAX: usize = 200;
pub const GROUPS_SHOWN_MAX: usize = 200;
pub const SHOWN_NAME_BYTES_MAX: usize = 128;

/// Rows of a journal that are removed in one step.
pub const INVOCATION_FORGET_ROWS: u32 = 2_000;
/// Callers that wait for the end of one invocation.
pub const INVOCATION_WAITERS_MAX: usize = 4_096;
/// How far behind a journal's end the entry of an awakeable may be that is completed already (versions 1 and 2): who completes
/// it may have its name before the journal has its entry.
pub const INVOCATION_ENTRIES_AHEAD: u32 = 1_024;

/// What HTTP/1.1 reads of a head at least, bytes: the library takes no less.
pub const HTTP_BUFFER_BYTES_MIN: u32 = 16 << 10;

/// Calls to deployments: how long connecting may take; when a silent connection is asked for a sign of life, and how long it
/// has for it; calls on one connection, and connections of one runtime to one deployment.
pub const RESTATE_CONNECT: Duration = Duration::from_secs(10);
pub const RESTATE_KEEP_ALIVE: Duration = Duration::from_secs(40);
pub const RESTATE_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
pub const RESTATE_STREAMS_PER_CONNECTION: usize = 128;
pub const RESTATE_CONNECTIONS_MAX: usize = 64;
/// HTTP/2 towards deployments: what may be on its way on a stream and on a connection, and in one frame, bytes.
pub const RESTATE_WINDOW_BYTES: u32 = 2 << 20;
pub const RESTATE_CONNECTION_WINDOW_BYTES: u32 = 5 << 20;
pub const RESTATE_FRAME_BYTES: u32 = 1 << 20;
/// A manifest, bytes; and how long discovery may take.
pub const RESTATE_MANIFEST_BYTES_MAX: usize = 8 << 20;
pub const RESTATE_DISCOVERY: Duration = Duration::from_secs(10);
/// Attempts of invocations that go on at once with one deployment; what one of them may have said that is not stored yet; how long a deployment
/// has to end its stream after it said how an attempt ended.
pub const RESTATE_ATTEMPTS_PER_DEPLOYMENT_MAX: usize = 1_000;
pub const RESTATE_WORDS_IN_FLIGHT: usize = 64;
pub const RESTATE_DRAIN: Duration = Duration::from_secs(5);
/// A message of the service protocol, and a body of the ingress, bytes.
pub const RESTATE_MESSAGE_BYTES_MAX: usize = 32 << 20;
/// State that is sent along with the start of an attempt, keys and values together, bytes.
pub const RESTATE_EAGER_STATE_BYTES_MAX: usize = 32 << 20;
/// Invocations that one request of an administrator is about, and how many of them are seen to at once.
pub const RESTATE_BATCH_MAX: usize = 1_000;
pub const RESTATE_BATCH_AT_ONCE: usize = 64;
/// An edit of an object's state: keys, and bytes of keys and values.
pub const RESTATE_EDIT_KEYS_MAX: usize = 4_096;
pub const RESTATE_EDIT_BYTES_MAX: usize = 8 << 20;
/// Entries of a journal that an attempt is given from memory; a longer one is read.
pub const KNOWN_JOURNAL_ENTRIES_MAX: u32 = 64;
/// Keys of an object's state, and their bytes, that it knows by heart.
pub const OBJECT_KEYS_KNOWN_MAX: usize = 16;
pub const OBJECT_KEYS_KNOWN_BYTES_MAX: usize = 1_024;
/// Messages of user code that become one step.
pub const RESTATE_WORDS_MAX: usize = 256;
/// Pieces that wait for a deployment on HTTP/1.1 to read them.
pub const RESTATE_PIECES_MAX: usize = 1_024;

/// Events that an entity's reply may have: they are stored together.
pub const ENTITY_EVENTS_PER_REPLY_MAX: usize = 4_000;
/// Events that are read at once when an entity is activated; messages that wait for a function to read them, per stream.
pub const ENTITY_EVENTS_PAGE: usize = 256;
pub const ENTITY_MESSAGES_AHEAD: usize = 32;
/// How long an entity with nothing to do stays active, and how long its function may take for a command, where nothing else is said.
pub const ENTITY_PASSIVATION: Duration = Duration::from_secs(30);
pub const ENTITY_ANSWER: Duration = Duration::from_secs(60);
/// How long a function has to end its side of a stream; how long is looked whether it does so behind a failure (dialect 0.1).
pub const ENTITY_END: Duration = Duration::from_secs(2);
pub const ENTITY_FAILURE_END: Duration = Duration::from_millis(20);
/// How long the first answer of a stream may take before idle entities are asked to make room, one each time; and how long an
/// entity goes on meanwhile that has commands waiting.
pub const ENTITY_PATIENCE: Duration = Duration::from_millis(100);
pub const ENTITY_TURN: Duration = Duration::from_secs(1);
/// Entities of all functions that are active; of one function that have a stream; commands that wait for one entity; room that is
/// kept for entities when few are active.
pub const ENTITIES_ACTIVE_MAX: usize = 100_000;
pub const ENTITY_STREAMS_PER_FUNCTION_MAX: usize = 10_000;
pub const ENTITY_COMMANDS_WAITING_MAX: usize = 1_000;
pub const ENTITIES_KEPT: usize = 1_024;
/// What functions call the state of a service, and an entity's id, bytes.
pub const PERSISTENCE_ID_BYTES_MAX: usize = 255;
pub const ENTITY_ID_BYTES_MAX: usize = 4 << 10;
/// Commands in a row that forward to each other, or are effects of each other.
pub const FORWARDS_MAX: usize = 16;
/// Connecting to a user function, asking what it has, telling it something; reports on their way to one.
pub const FUNCTION_CONNECT: Duration = Duration::from_secs(5);
pub const FUNCTION_DISCOVERY: Duration = Duration::from_secs(10);
pub const FUNCTION_REPORT: Duration = Duration::from_secs(10);
pub const FUNCTION_REPORTS_MAX: usize = 64;
/// Pauses between attempts to reach a user function.
pub const FUNCTION_PAUSE_MIN: Duration = Duration::from_millis(200);
pub const FUNCTION_PAUSE_MAX: Duration = Duration::from_secs(5);
/// HTTP/2 from user functions: what may be on its way on a stream and on a connection, bytes.
pub const FUNCTION_WINDOW_BYTES: u32 = 1 << 20;
pub const FUNCTION_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What a function says at once, and what it says it has, bytes; requests of its clients.
pub const FUNCTION_MESSAGE_BYTES_MAX: usize = 12 << 20;
pub const FUNCTION_SPEC_BYTES_MAX: usize = 16 << 20;
pub const FRONT_MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How long a client of reflection may ask nothing.
pub const REFLECTION_IDLE: Duration = Duration::from_secs(60);

/// Questions in SQL that are worked on at once; how long another one waits for its turn.
pub const QUERIES_MAX: usize = 2;
pub const QUERY_WAIT: Duration = Duration::from_secs(5);
/// How long one may take, from its turn on: with the wait, less than what an administrative request may take.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(20);
/// What all of them have for sorting, grouping and joining, bytes: SQLite counts them together.
pub const QUERY_HEAP_BYTES_MAX: usize = 256 << 20;
/// An answer before it is written down: rows, and bytes of their values.
pub const QUERY_ROWS_MAX: usize = 500_000;
pub const QUERY_ANSWER_BYTES_MAX: usize = 64 << 20;
/// A question's text, bytes; and how deep it may nest.
pub const QUERY_TEXT_BYTES_MAX: usize = 64 << 10;
pub const QUERY_DEPTH_MAX: usize = 50;
/// Rows that a table gives at once, and their bytes.
pub const QUERY_PAGE_ROWS: usize = 256;
pub const QUERY_PAGE_BYTES: usize = 1 << 20;
