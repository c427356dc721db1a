-- Reads versions that somebody has to look at, those that are due first. Changes nothing.
-- KEYS: DUE
-- ARGV: limit, version_prefix
-- Returns a flat list of app, number, state, and how long ago (ms) it was made, its next attempt became due, and its
-- lease ran out; '' for what it does not have.
local DUE = unpack(KEYS)
local limit, version_prefix = unpack(ARGV)
local now = now_ms()
local reply = {}
for _, member in ipairs(redis.call('ZRANGE', DUE, 0, limit - 1)) do
  local app, number = string.match(member, '^(%S+) (%d+)$')
  local state, created_at, retry_at, lease_until = unpack(redis.call('HMGET',
    version_prefix .. app .. ':' .. number, 'state', 'created_at', 'retry_at', 'lease_until'))
  if state then
    for _, value in ipairs({app, number, state}) do table.insert(reply, value) end
    for _, at in ipairs({created_at or '', retry_at or '', lease_until or ''}) do
      table.insert(reply, at == '' and '' or ms(now - at))
    end
  end
end
return reply
