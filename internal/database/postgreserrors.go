package database

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes, as PostgreSQL's manual lists them in its appendix A.
const (
	stateInFailedTransaction = "25P02"
	stateReadOnly            = "25006"
	stateUntranslatable      = "22P05"
	stateInvalidText         = "22021"
	stateNoPassword          = "28000"
	stateWrongPassword       = "28P01"
	stateNoDatabase          = "3D000"
	stateNotPermitted        = "42501"
	stateDiskFull            = "53100"
	stateTooManyConnections  = "53300"
	stateLockNotAvailable    = "55P03"
	stateIndexCorrupted      = "XX002"
	stateDataCorrupted       = "XX001"

	classConnection = "08"
	classConstraint = "23"
	classShutdown   = "57P" // by an operator, a crash, or not up yet
)

func (postgresEngine) swallowed(err error) bool { return sqlState(err) == stateInFailedTransaction }

func (postgresEngine) own(err error) error {
	var engine *pgconn.PgError
	if errors.As(err, &engine) {
		return engine
	}
	if connectionLost(err) {
		return err
	}
	return nil
}

func sqlState(err error) string {
	var engine *pgconn.PgError
	if !errors.As(err, &engine) {
		return ""
	}
	return engine.Code
}

// connectionLost reports whether err says that the connection to the server is
// gone, or could not be made.
func connectionLost(err error) bool {
	if state := sqlState(err); state != "" {
		return strings.HasPrefix(state, classConnection) || strings.HasPrefix(state, classShutdown)
	}
	var network *net.OpError
	var connecting *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) || errors.As(err, &connecting) || pgconn.SafeToRetry(err)
}

func (postgresEngine) explain(err error) error {
	state := sqlState(err)
	if strings.HasPrefix(state, classConstraint) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	switch state {
	case stateDiskFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case stateLockNotAvailable:
		return &Error{
			Message: "the catalog is locked by another program (waited 10 s)", Err: err, Busy: true,
			Advice: "see who holds it with `SELECT * FROM pg_stat_activity WHERE state <> 'idle'`",
		}
	case stateDataCorrupted, stateIndexCorrupted:
		return &Error{
			Message: "the catalog is damaged", Err: err,
			Advice: "stop the gateways and restore the catalog from a backup; see the PostgreSQL server's log",
		}
	case stateReadOnly:
		return &Error{
			Message: "the catalog can't be written", Err: err,
			Advice: "its server may have become a standby: name the primary in catalog.url, or all servers with target_session_attrs=read-write",
		}
	case stateNotPermitted:
		return &Error{
			Message: "the catalog's role may not do that", Err: err,
			Advice: "make the role that the gateway logs in as the owner of its database (`ALTER DATABASE … OWNER TO …`)",
		}
	case stateNoPassword, stateWrongPassword:
		return &Error{
			Message: "the catalog's server refuses the login", Err: err,
			Advice: "check the user in catalog.url, the password (catalog.password_file, PGPASSWORD or ~/.pgpass), and the server's pg_hba.conf",
		}
	case stateNoDatabase:
		return &Error{
			Message: "the catalog's database is not there", Err: err,
			Advice: "make it with `CREATE DATABASE sealdrop OWNER sealdrop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`",
		}
	case stateTooManyConnections:
		return &Error{
			Message: "the catalog's server has no connection left", Err: err,
			Advice: "raise max_connections in postgresql.conf",
		}
	case stateInvalidText, stateUntranslatable:
		return &Error{
			Message: "a text can't be kept in the catalog", Err: err,
			Advice: "it has a NUL, or bytes that are not UTF-8",
		}
	}
	if connectionLost(err) {
		return &Error{
			Message: "the catalog's server can't be reached", Err: err,
			Advice: "see whether it runs, and whether catalog.url names it",
		}
	}
	return err
}
