-- Renews the lease of work on a version.
-- KEYS: VERSION, DUE
-- ARGV: token, lease_ms, work
--   work: JSON, `WorkRules` of galaxy/domain/work.py.
-- Returns '' or the state that the lease was lost to.
local VERSION, DUE = unpack(KEYS)
local token, lease_ms, work = unpack(ARGV)
-- include: lease.lua
-- include: due.lua
local lost = lost_to(VERSION, token, cjson.decode(work))
if lost then return lost end
local lease_until = now_ms() + lease_ms
redis.call('HSET', VERSION, 'lease_until', ms(lease_until))
set_due(VERSION, lease_until)
return ''
