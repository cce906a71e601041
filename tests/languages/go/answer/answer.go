// Package answer has what the hooks share.
package answer

import (
	"fmt"
	"os"
	"runtime/debug"

	log "wit_component/facteur_policy_log"
	policy "wit_component/facteur_policy_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// OnPanic tells the operator of a bug, and ends the sandbox: defer it in each hook.
func OnPanic() {
	if bug := recover(); bug != nil {
		log.Write(log.Level_Error, fmt.Sprintf("%v\n%s", bug, debug.Stack()))
		os.Exit(2)
	}
}

// Refusal is a 550.
func Refusal(text string) policy.Reply {
	return policy.Reply{Code: 550, Status: Some("5.7.1"), Text: text}
}

// Failure says what an error of the host's means in words, and whether asking again may help.
func Failure(err policy.Error) policy.Failure {
	switch err.Tag() {
	case policy.Error_NotGranted:
		return policy.Failure{Reason: err.NotGranted()}
	case policy.Error_UnknownName:
		return policy.Failure{Reason: err.UnknownName()}
	case policy.Error_NotFound:
		return policy.Failure{Reason: "not found"}
	case policy.Error_Invalid:
		return policy.Failure{Reason: err.Invalid()}
	case policy.Error_Limit:
		return policy.Failure{Reason: err.Limit()}
	case policy.Error_Unavailable:
		return policy.Failure{Reason: err.Unavailable(), Transient: true}
	case policy.Error_Timeout:
		return policy.Failure{Reason: "timeout", Transient: true}
	default:
		return policy.Failure{Reason: "too large"}
	}
}
