package reports

import "errors"

// Errors that cross package borders. Beside them, io/fs's ErrNotExist, ErrExist
// and ErrPermission are used with their usual meaning.
var (
	// ErrClientID: a text is not a client id.
	ErrClientID = errors.New("not a client id")
	// ErrName: a text is not a name that a file or folder may have.
	ErrName = errors.New("not a valid name")
	// ErrUnknownClient: there is no client of that id.
	ErrUnknownClient = errors.New("unknown client")
	// ErrNotFolder: a folder was needed and the name is a file's.
	ErrNotFolder = errors.New("not a folder")
	// ErrIsFolder: a file was needed and the name is a folder's.
	ErrIsFolder = errors.New("is a folder")
	// ErrNotEmpty: the folder still holds something.
	ErrNotEmpty = errors.New("folder is not empty")
	// ErrBusy: the name is being written by another session.
	ErrBusy = errors.New("name is being written by another session")
	// ErrNotResumable: an upload over a file was cut off, and can only be made
	// anew.
	ErrNotResumable = errors.New("an upload of this name was cut off; upload the whole file again")
	// ErrIncomplete: parts of an upload were never sent.
	ErrIncomplete = errors.New("parts of the file were not sent")
	// ErrOrder: a file that is sealed while it comes was written too far out of order.
	ErrOrder = errors.New("write the file in order, from its beginning and each byte once; what comes is sealed at once and can't be changed")
	// ErrTooMany: a session has more unfinished files than it may have.
	ErrTooMany = errors.New("too many files are unfinished in this session; rename or remove some first")
	// ErrTooLarge: a file is longer than any that the gateway takes.
	ErrTooLarge = errors.New("the file is too large")
	// ErrOnHold: the report is under a legal hold.
	ErrOnHold = errors.New("report is on legal hold")
	// ErrNoSpace: the gateway's disk has no room left.
	ErrNoSpace = errors.New("no space left on the gateway")
)

// UnknownClientError says which client there is not. It is an [ErrUnknownClient].
type UnknownClientError struct{ Client ClientID }

func (e *UnknownClientError) Error() string {
	return ErrUnknownClient.Error() + ": " + e.Client.String()
}

// Unwrap makes the error an [ErrUnknownClient].
func (e *UnknownClientError) Unwrap() error { return ErrUnknownClient }
