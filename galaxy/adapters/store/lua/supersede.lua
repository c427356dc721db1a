-- include: move.lua
-- Needs: UNFINISHED, version_prefix

-- States in which a version is not built yet; from galaxy/domain/states.py.
local UNBUILT_STATES = {@UNBUILT@}

local function is_unbuilt(version)
  return UNBUILT_STATES[redis.call('HGET', version, 'state')]
end

-- Supersedes those of an app's unfinished versions that `is_chosen`, a function of their keys, picks.
-- Returns their numbers; and an error reply, if one of these moves was refused.
local function supersede_unfinished(app, reason, is_chosen)
  local superseded = {}
  for _, number in ipairs(redis.call('ZRANGE', UNFINISHED, 0, -1)) do
    local version = version_prefix .. app .. ':' .. number
    if is_chosen(version) then
      local refused = move(version, 'superseded', reason)
      if refused then return superseded, refused end
      table.insert(superseded, tonumber(number))
    end
  end
  return superseded
end
