-- A worker that has to stop gives its attempt back unused.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: token, work
--   work: JSON, `WorkRules` of galaxy/domain/work.py.
-- Returns '' or the state that the lease was lost to; a repeated call of the same holder is answered ''.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local token, work = unpack(ARGV)
-- include: lease.lua
-- include: move.lua
work = cjson.decode(work)
local state, current = unpack(redis.call('HMGET', VERSION, 'state', 'token'))
if current == token and state == work.handed_back then return '' end
local lost = lost_to(VERSION, token, work)
if lost then return lost end
local refused = move(VERSION, work.handed_back)
if refused then return refused end
announce('handed_back', VERSION)
redis.call('HINCRBY', VERSION, work.attempts, -1)
set_due(VERSION, now_ms())
return ''
