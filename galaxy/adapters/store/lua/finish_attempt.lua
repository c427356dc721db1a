-- Ends an attempt that succeeded.
-- KEYS: VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: token, work, due_in_ms, result
--   work: JSON, `WorkRules` of galaxy/domain/work.py; result: JSON, fields of the record that say what came of it.
-- Returns '' or the state that the lease was lost to; a repeated call of the same holder is answered ''.
local VERSION, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local token, work, due_in_ms, result = unpack(ARGV)
-- include: lease.lua
-- include: move.lua
work = cjson.decode(work)
if redis.call('HGET', VERSION, 'finished_by') == token then return '' end
local lost = lost_to(VERSION, token, work)
if lost then return lost end
local fields = {'finished_by', token}
for name, value in pairs(cjson.decode(result)) do
  table.insert(fields, name)
  table.insert(fields, value)
end
local refused = move(VERSION, work.done, nil, fields)
if refused then return refused end
redis.call('HDEL', VERSION, 'failure')
set_due(VERSION, now_ms() + due_in_ms)
return ''
