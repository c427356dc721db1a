-- Makes a version the active one: only ever forward.
-- KEYS: VERSION, APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS
-- ARGV: app, version_prefix
-- Returns {'active', previous number or 0} or {'superseded', active number}; a repeated call is answered alike.
local VERSION, APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS = unpack(KEYS)
local app, version_prefix = unpack(ARGV)
-- include: move.lua
local state, number, replaced = unpack(redis.call('HMGET', VERSION, 'state', 'number', 'replaced'))
number = tonumber(number)
local active = tonumber(redis.call('HGET', APP, 'active') or '0')
if active == number then return {'active', tonumber(replaced or '0')} end
if active > number then
  if state == 'superseded' then return {'superseded', active} end
  return move(VERSION, 'superseded', reason_of('newer_is_active', {active = active})) or {'superseded', active}
end
local fields = active > 0 and state == 'rolling_out' and {'replaced', active} or nil
local refused = move(VERSION, 'active', nil, fields)
if refused then return refused end
redis.call('HSET', APP, 'active', number)
if active > 0 then
  refused = move(version_prefix .. app .. ':' .. active, 'retired')
  if refused then return refused end
end
return {'active', active}
