-- Begins the rollout of a version that is built; one that is elsewhere stays there.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: due_in_ms
-- Returns the state that it is in now, or 'missing'; a repeated call is answered like the first.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local due_in_ms = unpack(ARGV)
-- include: move.lua
local state = redis.call('HGET', VERSION, 'state')
if state ~= 'built' then return state or 'missing' end
local refused = move(VERSION, 'rolling_out')
if refused then return refused end
set_due(VERSION, now_ms() + due_in_ms)
return 'rolling_out'
