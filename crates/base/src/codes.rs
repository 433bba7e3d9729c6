//! The table of error codes. A code is never renumbered or reused; each has a page in `docs/errors`.

use crate::error::Kind;

/// A stable error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    /// `BLY0012`
    pub id: &'static str,
    pub kind: Kind,
    /// One line, lower case.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $kind:ident, $title:literal;)*) => {
        $(pub const $name: Code = Code { id: $id, kind: Kind::$kind, title: $title };)*

        /// Every code, in order of number.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    INTERNAL = "BLY0001", Internal, "something that cannot happen has happened";
    INVALID_ARGUMENT = "BLY0002", InvalidArgument, "a request is malformed";
    UNIMPLEMENTED = "BLY0003", Unimplemented, "this component cannot do that";
    DEADLINE_EXCEEDED = "BLY0004", DeadlineExceeded, "the request took longer than its deadline";
    TOO_MANY_REQUESTS = "BLY0005", ResourceExhausted, "a limit on concurrent work is reached";

    CONFIG_UNREADABLE = "BLY0010", InvalidArgument, "the configuration file cannot be read or parsed";
    CONFIG_INVALID = "BLY0011", InvalidArgument, "the configuration has findings";
    COMPONENT_UNKNOWN = "BLY0012", NotFound, "no component of that name is configured";
    DRIVER_UNKNOWN = "BLY0013", InvalidArgument, "no driver of that name is built in";
    COMPONENT_NOT_OPENED = "BLY0014", Unavailable, "a component could not be opened";
    NO_SUCH_CODE = "BLY0015", NotFound, "no error code of that name";

    ADDRESS_IN_USE = "BLY0020", Unavailable, "a listener's address is taken";
    ADDRESS_INVALID = "BLY0021", InvalidArgument, "a listener's address cannot be used";
    SOCKET_PATH_BLOCKED = "BLY0022", FailedPrecondition, "a socket's path holds something else";
    NOT_RUNNING = "BLY0023", Unavailable, "no running belay answers there";

    DATA_DIR_UNUSABLE = "BLY0030", FailedPrecondition, "the data directory cannot be used";
    DATA_DIR_LOCKED = "BLY0031", FailedPrecondition, "another belay has this data directory open";
    DATA_FORMAT_NEWER = "BLY0032", FailedPrecondition, "the data was written by a newer belay";
    DATA_DAMAGED = "BLY0033", DataLoss, "the journal is damaged or acknowledged commits are missing";
    ENGINE_STOPPED = "BLY0034", Unavailable, "the engine has stopped after a failed write";
    ENGINE_QUEUE_FULL = "BLY0035", ResourceExhausted, "the engine's queue of commits is full";
    DISK_NEARLY_FULL = "BLY0036", ResourceExhausted, "the disk is nearly full, only deletes are taken";
    FENCED = "BLY0037", Aborted, "another owner has taken this partition over";
    BATCH_TOO_LARGE = "BLY0038", InvalidArgument, "a commit is larger than the limit";
    KEY_INVALID = "BLY0039", InvalidArgument, "a key is empty or too long";
    STORED_ROW_UNREADABLE = "BLY0040", DataLoss, "a stored row cannot be decoded";
    HOST_STOPPED = "BLY0041", Unavailable, "the partition host has stopped";

    ETAG_MISMATCH = "BLY0050", Aborted, "the stored version is another one than expected";
    ETAG_INVALID = "BLY0051", InvalidArgument, "an etag was not made by this store";
    TTL_INVALID = "BLY0052", InvalidArgument, "a time to live is not usable";
    TOPIC_FULL = "BLY0053", ResourceExhausted, "a topic's unsettled backlog is at its limit";
    // BLY0054 is not given again: a second consumer of a group was refused with it.
    APP_UNREACHABLE = "BLY0055", Unavailable, "the application's callback does not answer";
    CONTENDED = "BLY0056", Aborted, "a row kept changing while it was being updated";
    WATCH_BEHIND = "BLY0057", DataLoss, "a watch fell behind further than the changes are kept";
    ANSWER_TOO_LARGE = "BLY0058", InvalidArgument, "an answer would be larger than the limit";
    GROUP_FULL = "BLY0059", ResourceExhausted, "a consumer group has as many consumers as it may have";

    FILE_NOT_FOUND = "BLY0060", NotFound, "a file does not exist";
    FILE_EXISTS = "BLY0061", AlreadyExists, "a file exists already";
    FILE_NAME_INVALID = "BLY0062", InvalidArgument, "a file name or its metadata cannot be used";
    FILE_FORBIDDEN = "BLY0063", PermissionDenied, "a file may not be touched";
    FILE_FAILED = "BLY0064", Internal, "a file operation failed";
    SECRET_NOT_FOUND = "BLY0065", NotFound, "a secret does not exist";
    SECRET_FORBIDDEN = "BLY0066", PermissionDenied, "a secret is not allowed by policy";
    BINDING_FAILED = "BLY0067", Internal, "a binding's target refused or failed";
    INVOKE_FAILED = "BLY0068", Unavailable, "an invoked service refused or failed";
    SERVICE_NOT_FOUND = "BLY0069", NotFound, "an invoked service answered that something does not exist";
    SERVICE_EXISTS = "BLY0070", AlreadyExists, "an invoked service answered that something exists already";
    SERVICE_FORBIDDEN = "BLY0071", PermissionDenied, "an invoked service does not allow the call";
    SERVICE_PRECONDITION = "BLY0072", FailedPrecondition, "an invoked service is not in the state that the call needs";
    SERVICE_ABORTED = "BLY0073", Aborted, "an invoked service broke the call off";
    SERVICE_FAILED = "BLY0074", Internal, "an invoked service failed";
    SERVICE_DATA_LOSS = "BLY0075", DataLoss, "an invoked service answered that it lost data";

    VALUE_CHANGED = "BLY0080", Aborted, "a primitive's value or version is another one than expected";
    ENTRY_NOT_FOUND = "BLY0081", NotFound, "a primitive has no such entry";
    ENTRY_EXISTS = "BLY0082", AlreadyExists, "a primitive has that entry already";
    LOCK_HELD = "BLY0083", Aborted, "a lock stayed with another session for as long as the caller waited";
    LOCK_NOT_HELD = "BLY0084", Aborted, "a lock is not held by the caller's session";
    PRIMITIVE_UNKNOWN = "BLY0085", PermissionDenied, "no primitive of that name was created";
    PRIMITIVE_TYPE = "BLY0086", PermissionDenied, "a primitive of that name has another type";
    INDEX_MISMATCH = "BLY0087", DataLoss, "an indexed map's entry at that index has another key";
    STORE_CONNECTED = "BLY0088", AlreadyExists, "a store is connected already";
    STORE_NOT_CONNECTED = "BLY0089", NotFound, "a store is not connected";
    STORE_UNREACHABLE = "BLY0090", Unavailable, "the store of a primitive is not connected";
    ROUTE_MISSING = "BLY0091", Unavailable, "no route leads to a store for that primitive";
    ROUTES_PROGRAMMED = "BLY0092", PermissionDenied, "the routes are programmed already";
    ROUTE_CONFIG_INVALID = "BLY0093", Internal, "a route's configuration for a primitive cannot be read";
    TRANSACTION_INVALID = "BLY0094", Aborted, "a transaction names a key twice";

    INVOCATION_NOT_FOUND = "BLY0100", NotFound, "there is no such invocation";
    IDENTITY_UNUSABLE = "BLY0101", InvalidArgument, "the key that signs requests to deployments cannot be used";
    QUERY_INVALID = "BLY0110", InvalidArgument, "a question in SQL cannot be answered as it stands";
    QUERY_TOO_LARGE = "BLY0111", InvalidArgument, "a question in SQL needs more than one may take";

    ENTITY_CHANGED = "BLY0120", Aborted, "an entity was changed by somebody else";
    ENTITY_KIND = "BLY0121", FailedPrecondition, "a stored entity is of another kind";
    ENTITY_BUSY = "BLY0122", ResourceExhausted, "too many commands wait for an entity or a user function";
    ENTITY_NOT_FOUND = "BLY0123", NotFound, "there is no such entity";
    FUNCTION_UNREACHABLE = "BLY0124", Unavailable, "a user function cannot be reached, or has not been discovered yet";
    FUNCTION_REFUSED = "BLY0125", FailedPrecondition, "what a user function says of itself cannot be served";
    FORWARDS_TOO_MANY = "BLY0126", FailedPrecondition, "a command was forwarded too often";
}

/// The code of that id, in any case.
pub fn find(id: &str) -> Option<Code> {
    ALL.iter().copied().find(|code| code.id.eq_ignore_ascii_case(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_never_twice() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn a_code_is_found_in_any_case() {
        assert_eq!(find("bly0012"), Some(COMPONENT_UNKNOWN));
        assert_eq!(find("BLY9999"), None);
    }
}
