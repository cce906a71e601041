package export_facteur_policy_plugin

import (
	"wit_component/answer"
	lookup "wit_component/facteur_policy_lookup"
	settings "wit_component/facteur_policy_settings"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Init() Result[Unit, string] {
	defer answer.OnPanic()
	table := settings.Text("table")
	if table.IsErr() {
		return Err[Unit](answer.Failure(table.Err()).Reason)
	}
	if table.Ok().IsNone() {
		return Err[Unit]("set `table`")
	}
	name := table.Ok().Some()
	if check := lookup.Check(name); check.IsErr() {
		return Err[Unit](answer.Failure(check.Err()).Reason)
	}
	settings.Keep([]byte(name))
	return Ok[Unit, string](Unit{})
}
